package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

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
}

// retryAfter is when a client that was put off should come back, in seconds.
const retryAfter = 5

// errorBody is the form of an error answer (distribution-spec, "Error Codes").
type errorBody struct {
	Errors []errorEntry `json:"errors"`
}

type errorEntry struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// WriteError answers a request with an error. What is not an *oci.Error is told
// to the log alone; the client gets the identifier of the request.
func (g *Gate) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	var known *oci.Error
	if !errors.As(err, &known) || known.Kind == oci.Internal {
		known = oci.Errorf(oci.Internal, "internal error: tell the operator of the registry the request %s", reqctx.ID(r.Context()))
	}
	to := answers[known.Kind]
	g.logError(r, to.status, err)
	h := w.Header()
	switch known.Kind {
	case oci.Unauthorized:
		h.Set("WWW-Authenticate", g.challenge())
	case oci.TooManyRequests, oci.Unavailable, oci.BlobUploadBusy:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	case oci.Unsupported:
		if methods := allowed(err); methods != nil {
			h.Set("Allow", strings.Join(methods, ", "))
		}
	default: // no header of its own
	}
	writeJSON(w, to.status, errorBody{Errors: []errorEntry{{Code: to.code, Message: known.Message, Detail: known.Detail}}})
}

// logError logs what the operator should see: faults of ours, not of clients.
func (g *Gate) logError(r *http.Request, status int, err error) {
	if status < http.StatusInternalServerError || errors.Is(err, context.Canceled) {
		return
	}
	g.Log.ErrorContext(r.Context(), "request failed", "id", reqctx.ID(r.Context()), "method", r.Method, "path", r.URL.Path, "err", err)
}

// writeJSON answers with a JSON value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // a detail that is not JSON: a mistake of ours
		body.Reset()
		fmt.Fprintf(&body, `{"errors":[{"code":"UNKNOWN","message":"internal error"}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client may be gone
}
