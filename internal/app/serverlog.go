package app

import (
	"bytes"
	"context"
	"log/slog"
)

// serverLog takes the lines of http.Server: what is wrong with the server, such
// as that it cannot accept connections, is for the operator; what clients do
// wrong before they have sent a request is not worth a line each.
type serverLog struct{ log *slog.Logger }

func (s serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(line, []byte("TLS handshake error")) || bytes.HasPrefix(line, []byte("http2: ")) {
		level = slog.LevelDebug
	}
	s.log.Log(context.Background(), level, "http server", "message", string(bytes.TrimSpace(line)))
	return len(line), nil
}
