package middleware

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Idle cuts connections on which nothing moves for the given time, in either
// direction. One that moves, however slowly, lives on: pushes and pulls may take
// hours. It is also what counts the answer for AccessLog.
func Idle(timeout time.Duration) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			counted := newWriter(w, r, timeout)
			if timeout > 0 && r.Body != nil && r.Body != http.NoBody {
				body := &idleBody{ReadCloser: r.Body, control: counted.control, idle: timeout}
				body.extend(time.Now())
				r.Body = body
			}
			next.ServeHTTP(counted, r)
		})
	}
}

// idleBody moves the read deadline while the body moves.
type idleBody struct {
	io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
	next    time.Time // when to move the deadline again
}

func (b *idleBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch now := time.Now(); {
	case errors.Is(err, io.EOF):
		// The body is done and the handler may take its time: without a body to
		// read, a deadline would only break the connection under it.
		_ = b.control.SetReadDeadline(time.Time{})
	case now.After(b.next):
		b.extend(now)
	}
	return n, err //nolint:wrapcheck // a reader passes errors on
}

// extend moves the deadline, and not again for a tenth of the timeout: it costs
// a little, and bodies come in many small reads.
func (b *idleBody) extend(now time.Time) {
	_ = b.control.SetReadDeadline(now.Add(b.idle))
	b.next = now.Add(b.idle / 10)
}
