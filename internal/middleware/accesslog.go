package middleware

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/reqctx"
)

// AccessLog writes one line for each request. It stands behind RequestID, Client
// and Idle. It logs no header but the user agent, and no query: neither can leak
// a secret that way.
func AccessLog(log *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start, aborted := time.Now(), true
			defer func() { logRequest(log, w, r, time.Since(start), aborted) }()
			next.ServeHTTP(w, r)
			aborted = false
		})
	}
}

// logRequest writes the line. A request whose answer was broken off, by a panic,
// has the status that was sent, or 0 if none was.
func logRequest(log *slog.Logger, w http.ResponseWriter, r *http.Request, took time.Duration, aborted bool) {
	status, bytes := 0, int64(0)
	var notes []any
	if counted, ok := w.(*writer); ok {
		if !aborted {
			counted.begun()
		}
		status, bytes, notes = counted.status, counted.bytes, counted.notes
	}
	args := []any{
		"id", reqctx.ID(r.Context()), "client", reqctx.ClientOf(r.Context()).Addr.String(),
		"method", clip(r.Method), "path", clip(r.URL.Path), "status", status, "bytes", bytes,
		"ms", float64(took.Microseconds()) / 1000, "agent", clip(r.UserAgent()),
	}
	if aborted {
		args = append(args, "aborted", true)
	}
	log.InfoContext(r.Context(), "request", append(args, notes...)...)
}

// clip bounds what a client can put into the log. slog escapes the rest.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
