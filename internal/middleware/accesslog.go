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
			start := time.Now()
			defer func() { logRequest(log, w, r, time.Since(start)) }()
			next.ServeHTTP(w, r)
		})
	}
}

func logRequest(log *slog.Logger, w http.ResponseWriter, r *http.Request, took time.Duration) {
	status, bytes := 0, int64(0)
	var notes []any
	if counted, ok := w.(*writer); ok {
		counted.begun()
		status, bytes, notes = counted.status, counted.bytes, counted.notes
	}
	args := []any{
		"id", reqctx.ID(r.Context()), "client", reqctx.ClientOf(r.Context()).Addr.String(),
		"method", r.Method, "path", clip(r.URL.Path), "status", status, "bytes", bytes,
		"ms", float64(took.Microseconds()) / 1000, "agent", clip(r.UserAgent()),
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
