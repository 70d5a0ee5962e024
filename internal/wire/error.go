package wire

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
)

// answer is how an error kind looks on the wire.
type answer struct {
	status int
	code   string // distribution-spec, "Error Codes"; the last ones are our own
}

// answers is the one table from errors to statuses and error codes.
var answers = [oci.Kinds]answer{ //nolint:gochecknoglobals // a lookup table, never written
	oci.Internal:            {http.StatusInternalServerError, "UNKNOWN"},
	oci.BlobUnknown:         {http.StatusNotFound, "BLOB_UNKNOWN"},
	oci.BlobUploadUnknown:   {http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
	oci.BlobUploadBusy:      {http.StatusConflict, "BLOB_UPLOAD_INVALID"},
	oci.RangeInvalid:        {http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID"},
	oci.DigestInvalid:       {http.StatusBadRequest, "DIGEST_INVALID"},
	oci.ManifestBlobUnknown: {http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN"},
	oci.ManifestInvalid:     {http.StatusBadRequest, "MANIFEST_INVALID"},
	oci.ManifestTooLarge:    {http.StatusRequestEntityTooLarge, "MANIFEST_INVALID"},
	oci.ManifestUnknown:     {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	oci.NameInvalid:         {http.StatusBadRequest, "NAME_INVALID"},
	oci.NameUnknown:         {http.StatusNotFound, "NAME_UNKNOWN"},
	oci.TagInvalid:          {http.StatusBadRequest, "MANIFEST_INVALID"},
	oci.SizeInvalid:         {http.StatusBadRequest, "SIZE_INVALID"},
	oci.PageInvalid:         {http.StatusBadRequest, "PAGINATION_NUMBER_INVALID"},
	oci.PreconditionFailed:  {http.StatusPreconditionFailed, "MANIFEST_INVALID"},
	oci.Unauthorized:        {http.StatusUnauthorized, "UNAUTHORIZED"},
	oci.Denied:              {http.StatusForbidden, "DENIED"},
	oci.Unsupported:         {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	oci.TooManyRequests:     {http.StatusTooManyRequests, "TOOMANYREQUESTS"},
	oci.NoSpace:             {http.StatusInsufficientStorage, "UNAVAILABLE"},
	oci.Unavailable:         {http.StatusServiceUnavailable, "UNAVAILABLE"},
	oci.NotFound:            {http.StatusNotFound, "NOT_FOUND"},
	oci.BadRequest:          {http.StatusBadRequest, "BAD_REQUEST"},
	oci.BadGateway:          {http.StatusBadGateway, "UNAVAILABLE"},
	oci.GatewayTimeout:      {http.StatusGatewayTimeout, "UNAVAILABLE"},
}

// retryAfter is when a client that was put off should come back, if nothing else is
// known.
const retryAfter = 5 * time.Second

// ErrorList is the form of an error answer (distribution-spec, "Error Codes").
type ErrorList struct {
	Errors []ErrorEntry `json:"errors"`
}

// ErrorEntry is one error of an answer.
type ErrorEntry struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// Describe returns what a client is told about err: the status and the body. What
// is not an *oci.Error is told to the log alone; the client gets the identifier
// of the request.
func Describe(r *http.Request, err error) (int, ErrorList) {
	known := knownError(r, err)
	to := answers[known.Kind]
	return to.status, ErrorList{Errors: []ErrorEntry{{Code: to.code, Message: known.Message, Detail: known.Detail}}}
}

// Code returns the status and the error code of what a client is told about err.
func Code(err error) (status int, code string) {
	var known *oci.Error
	to := answers[oci.Internal]
	if errors.As(err, &known) {
		to = answers[known.Kind]
	}
	return to.status, to.code
}

func knownError(r *http.Request, err error) *oci.Error {
	var known *oci.Error
	if !errors.As(err, &known) || known.Kind == oci.Internal {
		return oci.Errorf(oci.Internal, "internal error: tell the operator of the registry the request %s", reqctx.ID(r.Context()))
	}
	return known
}

// Error answers a request with an error. Faults of ours, not of clients, go to
// the log. The connection ends where the client may still be sending a body:
// net/http would wait for that before it sends the answer.
func Error(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	status, body := Describe(r, err)
	LogFault(r, log, status, err)
	SetRetryAfter(w, r, err)
	if JSON(w, status, JSONType, body) != nil { // a detail that is not JSON: a mistake of ours
		body.Errors[0].Detail = nil
		_ = JSON(w, status, JSONType, body) // strings are JSON
	}
}

// SetRetryAfter tells a client that is put off when to come back, in whole seconds
// (RFC 9110, section 10.2.3).
func SetRetryAfter(w http.ResponseWriter, r *http.Request, err error) {
	known := knownError(r, err)
	switch known.Kind {
	case oci.TooManyRequests, oci.Unavailable, oci.BlobUploadBusy:
		after := cmp.Or(known.RetryAfter, retryAfter)
		w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	default: // no use in coming back
	}
}

// LogFault logs what the operator should see.
func LogFault(r *http.Request, log *slog.Logger, status int, err error) {
	if status < http.StatusInternalServerError || errors.Is(err, context.Canceled) {
		return
	}
	log.ErrorContext(r.Context(), "request failed", "id", reqctx.ID(r.Context()), "method", r.Method, "path", r.URL.Path, "err", err)
}
