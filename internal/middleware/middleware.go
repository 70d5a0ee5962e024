// Package middleware is what every request passes before the gate: an
// identifier, the client's real address, idle timeouts, the access log, and a
// net for panics.
package middleware

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/moorgate/moorgate/internal/reqctx"
)

// Middleware wraps a handler.
type Middleware func(http.Handler) http.Handler

// Chain wraps h so that the first middleware sees the request first.
func Chain(h http.Handler, list ...Middleware) http.Handler {
	for i := len(list) - 1; i >= 0; i-- {
		h = list[i](h)
	}
	return h
}

// RequestID gives each request an identifier, for the log and for the client,
// who can name it to the operator. One that the client sends is not taken over.
func RequestID() Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := rand.Text()
			w.Header().Set("X-Request-Id", id)
			next.ServeHTTP(w, r.WithContext(reqctx.WithID(r.Context(), id)))
		})
	}
}

// Recover turns a panic into a log entry and a broken connection, and keeps the
// program running.
func Recover(log *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if p != http.ErrAbortHandler { //nolint:errorlint // the very value that net/http compares with
					log.ErrorContext(r.Context(), "panic", "id", reqctx.ID(r.Context()), "value", p, "stack", string(debug.Stack()))
				}
				panic(http.ErrAbortHandler)
			}()
			next.ServeHTTP(w, r)
		})
	}
}
