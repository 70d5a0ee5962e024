package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// errStalled ends an answer of which nothing more comes.
var errStalled = errors.New("the answer stopped coming")

// patient is a RoundTripper that waits so long for the next bytes of an answer,
// and no longer: net/http bounds the waiting for its headers alone. A registry
// that hangs in the middle of a pull would otherwise hold its client, and
// whatever waits for that one, forever.
type patient struct {
	http.RoundTripper
	stall time.Duration
}

// RoundTrip returns an answer whose body fails when it stalls.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	resp, err := p.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err //nolint:wrapcheck // a RoundTripper passes errors on
	}
	b := &answerBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, stall: p.stall}
	b.timer = time.AfterFunc(p.stall, func() { cancel(errStalled) })
	b.timer.Stop() // until somebody reads
	resp.Body = b
	return resp, nil
}

// answerBody is the body of an answer. Its timer runs while somebody waits for
// bytes: how long a client takes for those that are there is not the registry's
// fault.
type answerBody struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // of the request whose answer this is
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer
}

// Read reads what is there, or waits for it.
//
// Errors: ErrTimeout, besides those of the body.
func (b *answerBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(b.ctx), errStalled) {
		err = fmt.Errorf("%w: nothing more for %s", ErrTimeout, b.stall)
	}
	return n, err
}

// Close ends the request too, if it is not at its end.
func (b *answerBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err //nolint:wrapcheck // a closer passes errors on
}
