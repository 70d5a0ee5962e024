package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
)

var errStopped = errors.New("the request has been answered")

// clientBody is the body of a client's request while an upstream gets it. The
// transport may read on after the upstream has answered; net/http allows that
// only until the handler returns.
type clientBody struct {
	inner   io.Reader
	control *http.ResponseController

	reading sync.Mutex   // held during a read
	rest    atomic.Int64 // bytes to come; negative if not known
	ended   atomic.Bool
	stopped atomic.Bool
	failure atomic.Pointer[error] // of the client's side
}

func newClientBody(w http.ResponseWriter, r *http.Request) *clientBody {
	b := &clientBody{inner: r.Body, control: http.NewResponseController(w)}
	b.rest.Store(r.ContentLength)
	return b
}

func (b *clientBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.stopped.Load() {
		return 0, errStopped
	}
	n, err := b.inner.Read(p)
	if b.rest.Load() > 0 {
		b.rest.Add(-int64(n))
	}
	switch {
	case errors.Is(err, io.EOF):
		b.ended.Store(true)
	case err != nil && !b.stopped.Load():
		b.failure.Store(&err)
	}
	return n, err //nolint:wrapcheck // a reader passes errors on
}

// Close leaves the body open: net/http closes it.
func (b *clientBody) Close() error { return nil }

// done reports whether all of the body has been read.
func (b *clientBody) done() bool { return b.ended.Load() || b.rest.Load() == 0 }

// stop sees to it that nobody reads the body any more.
func (b *clientBody) stop() {
	b.stopped.Store(true)
	if b.done() {
		b.reading.Lock() // at most the look whether there is nothing more
		defer b.reading.Unlock()
		return
	}
	// Whoever waits for the client, waits no more.
	if b.control.SetReadDeadline(time.Now()) != nil {
		return
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	_ = b.control.SetReadDeadline(time.Time{}) // the connection may still be closed in peace
}

// explain returns the error of the client's side, if that is why a request
// failed.
func (b *clientBody) explain(err error) error {
	if failure := b.failure.Load(); failure != nil {
		return oci.Errorf(oci.SizeInvalid, "the request body ended early").Because(*failure)
	}
	return err
}
