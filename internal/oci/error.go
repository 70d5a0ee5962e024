package oci

import (
	"fmt"
	"time"
)

// Kind says what went wrong, in the terms of the distribution specification
// and a little finer: two kinds may share an error code and differ in status.
// The table from a Kind to its HTTP status and error code is in package gate.
type Kind int

// The kinds of error that a client can be told about.
const (
	Internal            Kind = iota // anything else; its text is for the log only
	BlobUnknown                     // no such blob in this repository
	BlobUploadUnknown               // no such upload session for this caller
	BlobUploadBusy                  // another request is writing to the session
	RangeInvalid                    // a chunk out of order, or a range outside the content
	DigestInvalid                   // malformed, unsupported, or not that of the content
	ManifestBlobUnknown             // a manifest names content that the repository lacks
	ManifestInvalid                 // not a manifest we can store
	ManifestTooLarge                // over the limit for manifests
	ManifestUnknown                 // no such tag or digest in this repository
	NameInvalid                     // not a repository name
	NameUnknown                     // no such repository
	TagInvalid                      // not a tag
	SizeInvalid                     // the body's length is not what was announced
	PageInvalid                     // n, last or another page parameter makes no sense
	PreconditionFailed              // If-Match or If-None-Match did not hold
	Unauthorized                    // nobody signed in, or not properly
	Denied                          // signed in, but not allowed
	Unsupported                     // the operation is off, or does not exist
	TooManyRequests                 // slow down; see Retry-After
	NoSpace                         // the storage is full
	Unavailable                     // cannot answer now; see Retry-After
	NotFound                        // no such endpoint
	BadRequest                      // parameters that make no sense, outside of the distribution API
	BadGateway                      // the registry behind the gateway cannot be reached, or makes no sense
	GatewayTimeout                  // the registry behind the gateway did not answer in time
	kindCount
)

// Kinds is the number of kinds: a table over Kind has this length.
const Kinds = int(kindCount)

// Error is an error that a client may be told about.
type Error struct {
	Kind    Kind
	Message string // for the client: what is wrong, and what to do next
	Detail  any    // for the client: encoded as JSON; may be nil
	Err     error  // for the log: the cause; may be nil

	// RetryAfter is when the client should come back, if it should at all; 0: in the
	// usual time.
	RetryAfter time.Duration
}

// Errorf makes an Error with a message for the client.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e that keeps cause for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Err = cause
	return &c
}

// After returns a copy of e that tells the client when to come back.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// WithDetail returns a copy of e with a detail for the client.
func (e *Error) WithDetail(detail any) *Error {
	c := *e
	c.Detail = detail
	return &c
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is compares by kind, so that errors.Is(err, oci.ErrBlobUnknown) holds for
// every error of that kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind
}

// Errors to compare with, by errors.Is.
var (
	ErrBlobUnknown         = &Error{Kind: BlobUnknown, Message: "blob unknown to repository"}
	ErrBlobUploadUnknown   = &Error{Kind: BlobUploadUnknown, Message: "blob upload unknown to repository"}
	ErrManifestBlobUnknown = &Error{Kind: ManifestBlobUnknown, Message: "manifest references content unknown to repository"}
	ErrManifestUnknown     = &Error{Kind: ManifestUnknown, Message: "manifest unknown to repository"}
	ErrNameUnknown         = &Error{Kind: NameUnknown, Message: "repository name not known to registry"}
	ErrDigestInvalid       = &Error{Kind: DigestInvalid, Message: "provided digest did not match uploaded content"}
	ErrUnauthorized        = &Error{Kind: Unauthorized, Message: "authentication required"}
	ErrPreconditionFailed  = &Error{Kind: PreconditionFailed, Message: "the tag is not in the state that the request requires"}
	ErrRangeInvalid        = &Error{Kind: RangeInvalid, Message: "the range does not fit"}
	ErrNoSpace             = &Error{Kind: NoSpace, Message: "the registry's storage is full"}
)
