package app

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/moorgate/moorgate/internal/metrics"
	"github.com/moorgate/moorgate/internal/wire"
)

// maxScrapes is how many may read the metrics at once.
const maxScrapes = 4

// readyTimeout bounds the answer to one probe.
const readyTimeout = 10 * time.Second

// health answers the probes of an orchestrator, on an address of its own: what
// clients reach shows nothing but the API.
type health struct {
	s     *Server
	ready func(context.Context) error

	mu     sync.Mutex
	unwell bool // at the last probe
}

// openHealth listens for probes if the configuration says where, and counts for
// those who look.
func (s *Server) openHealth(ctx context.Context, ready func(context.Context) error) error {
	if s.cfg.Health.Listen == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Health.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s for probes (health.listen): %w", s.cfg.Health.Listen, err)
	}
	s.later(listener)
	h := &health{s: s, ready: ready}
	s.metrics = metrics.New()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.Gatherer(), promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { h.answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { h.answer(w, h.check(r.Context())) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: readyTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10, ErrorLog: log.New(serverLog{s.log}, "", 0)}
	s.tasks = append(s.tasks, func(ctx context.Context) {
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "cannot answer probes", "err", err)
		}
	})
	s.log.InfoContext(ctx, "answering probes", "url", "http://"+listener.Addr().String()+"/readyz")
	return nil
}

func (h *health) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := h.ready(ctx)
	h.note(ctx, err)
	return err
}

// note logs a change: probes come every few seconds.
func (h *health) note(ctx context.Context, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch was := h.unwell; {
	case err != nil && !was:
		h.s.log.WarnContext(ctx, "not ready", "err", err)
	case err == nil && was:
		h.s.log.InfoContext(ctx, "ready again")
	}
	h.unwell = err != nil
}

// answer says what is wrong in full: those who probe are the operator's.
func (h *health) answer(w http.ResponseWriter, err error) {
	if err != nil {
		_ = wire.JSON(w, http.StatusServiceUnavailable, wire.JSONType, map[string]string{"status": "not ready", "error": err.Error()})
		return
	}
	_ = wire.JSON(w, http.StatusOK, wire.JSONType, map[string]string{"status": "ok"})
}
