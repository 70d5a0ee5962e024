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
	var answer writer
	if counted, ok := w.(*writer); ok {
		if !aborted {
			counted.begun()
		}
		answer = *counted
	}
	var room [12]slog.Attr // more than there ever are, so that nothing is allocated
	attrs := append(room[:0],
		slog.String("id", reqctx.ID(r.Context())), slog.String("client", reqctx.ClientOf(r.Context()).Addr.String()),
		slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.Path)),
		slog.Int("status", answer.status), slog.Int64("bytes", answer.bytes),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("agent", clip(r.UserAgent())),
	)
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	log.LogAttrs(r.Context(), slog.LevelInfo, "request", append(attrs, answer.notes...)...)
}

// clip bounds what a client can put into the log. slog escapes the rest.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
