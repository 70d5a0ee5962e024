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
				body := &idleBody{ReadCloser: r.Body, control: counted.control, idle: timeout, streams: counted.streams}
				r.Body = body
				// net/http may still read what the handler has left.
				defer body.extend()
			}
			// net/http still sends what it holds of the answer.
			defer counted.moving()
			next.ServeHTTP(counted, r)
		})
	}
}

// idleBody moves the read deadline while the body is read. The time between two
// reads is the handler's own, and counts for nobody.
type idleBody struct {
	io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
	streams bool      // HTTP/2: see Read
	next    time.Time // when to move the deadline again
	done    bool      // the body has been read to its end
}

func (b *idleBody) Read(p []byte) (int, error) {
	if b.streams || time.Now().After(b.next) {
		b.extend()
	}
	n, err := b.ReadCloser.Read(p)
	b.done = b.done || errors.Is(err, io.EOF)
	if b.done || b.streams {
		// The handler may take its time. The deadline of a stream would break it
		// meanwhile; that of a connection is moved before the next read, but
		// without a body to read it would only break the connection.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err //nolint:wrapcheck // a reader passes errors on
}

// extend moves the deadline, and not again for a tenth of the timeout: it costs
// a little, and bodies come in many small reads.
func (b *idleBody) extend() {
	if b.done {
		return
	}
	now := time.Now()
	_ = b.control.SetReadDeadline(now.Add(b.idle))
	b.next = now.Add(b.idle / 10)
}
