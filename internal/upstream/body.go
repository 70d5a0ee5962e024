package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// errStopped ends the reading of a body that nobody wants any more.
var errStopped = errors.New("the request was given up")

// States of a body.
const (
	untouched int32 = iota // no byte was asked for
	begun
	stopped
)

// body is the body of a request while it is sent. It knows whether it was begun,
// as then it cannot be sent again, and whether its source failed, as then the
// client is to blame and not the registry. A nil *body is no body.
//
// Closing it leaves the source open, which belongs to a server: closing that
// waits for a read that goes on, and an untouched one may be sent again.
type body struct {
	src   io.Reader
	own   io.Closer // closed with the body; nil if the source is of others
	left  int64     // bytes that Content-Length still promises; -1 if it does not say
	state atomic.Int32
	fault atomic.Pointer[error] // of the source
}

// bodyOf returns the body of r; nil if there is none. A server sets ContentLength
// to 0 only where it knows that nothing comes, even if somebody wrapped the body
// since: then it is not to become a chunked one. Requests made by clients (they
// have no RequestURI) say so with nil or http.NoBody.
func bodyOf(r *http.Request) *body {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 && r.RequestURI != "" {
		return nil
	}
	return &body{src: r.Body, left: promised(r.ContentLength)}
}

// promised is how many bytes a client request with this ContentLength holds.
func promised(length int64) int64 {
	if length <= 0 {
		return -1
	}
	return length
}

// Read reads the source, and keeps the first error of it.
func (b *body) Read(p []byte) (int, error) {
	if b.state.Load() != begun && !b.state.CompareAndSwap(untouched, begun) {
		return 0, errStopped
	}
	n, err := b.src.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
		if errors.Is(err, io.EOF) && b.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.fault.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Close closes what is our own.
func (b *body) Close() error {
	if b.own == nil {
		return nil
	}
	return b.own.Close()
}

// stop ends all reading and reports whether none had begun.
func (b *body) stop() bool {
	return b == nil || b.state.Swap(stopped) == untouched
}

// again returns the body to be sent from its start, if that can be done. The
// old one is stopped.
func (b *body) again(copied func() (io.ReadCloser, error)) (*body, bool) {
	if b == nil {
		return nil, true
	}
	if b.stop() {
		return &body{src: b.src, left: b.left}, true
	}
	if copied == nil {
		return nil, false
	}
	rc, err := copied()
	if err != nil {
		return nil, false
	}
	return &body{src: rc, own: rc, left: -1}, true
}

// err is the error of the source, if it had one.
func (b *body) err() error {
	if b == nil {
		return nil
	}
	if p := b.fault.Load(); p != nil {
		return *p
	}
	return nil
}
