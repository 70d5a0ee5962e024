package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/moorgate/moorgate/internal/certs"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/filewatch"
	"github.com/moorgate/moorgate/internal/metrics"
	"github.com/moorgate/moorgate/internal/middleware"
)

// Source is a configuration and where it comes from.
type Source struct {
	Config config.Config                 // valid for the role
	File   string                        // the file it was read from; "" if from none
	Read   func() (config.Config, error) // reads it again
}

// Server is a server that is open and listens, but does not answer yet.
type Server struct {
	cfg      config.Config
	source   Source
	role     config.Role
	started  time.Time
	log      *slog.Logger
	listener net.Listener
	tls      *tls.Config // nil: plain HTTP
	http     *http.Server
	inflight inflight
	pushes   *pushes
	metrics  *metrics.Metrics // nil: nobody looks at them
	auditor  auditor
	keep     []keeper                // what is read again when its files change
	tasks    []func(context.Context) // what runs beside the server until it stops
	closers  []io.Closer
}

func newServer(role config.Role, src Source, log *slog.Logger) *Server {
	return &Server{cfg: src.Config, source: src, role: role, started: time.Now(), log: log}
}

// open runs the steps that open a server, and closes what is open if one fails.
func (s *Server) open(steps ...func() error) (*Server, error) {
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// later closes something when the server is closed.
func (s *Server) later(c io.Closer) { s.closers = append(s.closers, c) }

// listen takes the address, so that a failure shows at once.
func (s *Server) listen(ctx context.Context) error {
	var err error
	s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s.cfg.Listen, err)
	}
	s.later(s.listener)
	return nil
}

// answerWith puts in front of a handler what every request passes before it.
func (s *Server) answerWith(next http.Handler) {
	chain := []middleware.Middleware{
		s.inflight.middleware,
		middleware.RequestID(),
		middleware.Client(s.cfg.Proxies()),
		middleware.Idle(s.cfg.Limits.IdleTimeout),
	}
	if s.cfg.Log.Access {
		chain = append(chain, middleware.AccessLog(s.log))
	}
	chain = append(chain, middleware.Recover(s.log))
	s.http = &http.Server{
		Handler:           middleware.Chain(next, chain...),
		ReadHeaderTimeout: s.cfg.Limits.HeaderTimeout,
		IdleTimeout:       s.cfg.Limits.IdleTimeout,
		MaxHeaderBytes:    s.cfg.Limits.HeaderBytes,
		TLSConfig:         s.tls,
		ErrorLog:          log.New(serverLog{s.log}, "", 0),
	}
}

// Run answers requests until ctx ends, then stops gracefully: running pushes
// finish within the limit, new connections are refused. It closes the server.
func (s *Server) Run(ctx context.Context) error {
	s.auditor.started(ctx, s)
	s.log.InfoContext(ctx, "listening", "url", s.URL(), "data", s.cfg.Data)
	group, ctx := errgroup.WithContext(ctx)
	for _, task := range s.tasks {
		group.Go(func() error { task(ctx); return nil })
	}
	for _, k := range s.keep {
		group.Go(func() error { k.watch.Run(ctx, func() { s.renew(ctx, k) }); return nil })
	}
	group.Go(func() error { return s.answer(ctx) })
	group.Go(func() error { <-ctx.Done(); return s.stop(context.WithoutCancel(ctx)) })
	return errors.Join(group.Wait(), s.Close())
}

// answer serves until the listener or the server is closed.
func (s *Server) answer(ctx context.Context) error {
	var err error
	if s.cfg.TLS.On() {
		err = s.http.ServeTLS(s.listener, "", "")
	} else {
		err = s.http.Serve(s.listener)
	}
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil // as asked
	}
	return fmt.Errorf("cannot serve: %w", err)
}

// stop refuses new connections at once. The ones that are there go on until no
// push is under way any more, then until their request is done.
func (s *Server) stop(ctx context.Context) error {
	limit := s.cfg.Limits.StopTimeout
	s.log.InfoContext(ctx, "stopping: running pushes may finish", "limit", limit)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("cannot stop listening: %w", err)
	}
	s.pushes.wait(ctx)
	if err := s.http.Shutdown(ctx); err != nil {
		return s.cutOff(context.WithoutCancel(ctx))
	}
	s.log.InfoContext(ctx, "stopped")
	return nil
}

// lastWords is how long requests that are cut off have to end: what they have done is
// put on record then.
const lastWords = 5 * time.Second

// cutOff closes all connections, and waits for what is behind them.
func (s *Server) cutOff(ctx context.Context) error {
	cut := s.inflight.count()
	err := s.http.Close()
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	s.inflight.wait(ctx)
	s.log.WarnContext(ctx, "stopped with requests cut off: they took longer than the limit",
		"limit", s.cfg.Limits.StopTimeout, "requests", cut, "running", s.inflight.count())
	return err
}

// Close releases everything, last opened first. Closing again does nothing.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i].Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.closers = nil
	return errors.Join(errs...)
}

// Reload reads all files again that can change while the server runs: users,
// rules, keys and certificates. Last it opens the file of the audit anew, so that a
// disk that does not answer keeps none of them from it.
func (s *Server) Reload(ctx context.Context) {
	for _, k := range s.keep {
		s.renew(ctx, k)
	}
	s.auditor.reopen(s.log)
}

// openTLS reads the certificate, or makes one.
func (s *Server) openTLS() error {
	t := s.cfg.TLS
	if !t.On() {
		return nil
	}
	cert, key := t.Cert, t.Key
	if t.SelfSigned {
		files, err := s.selfSigned()
		if err != nil {
			return err
		}
		cert, key = files.Cert, files.Key
	}
	watch := filewatch.New(s.log, cert, key)
	pair, err := certs.LoadPair(cert, key)
	if err != nil {
		return err
	}
	if warning := pair.Warning(time.Now()); warning != "" {
		s.log.Warn("certificate", "file", cert, "warning", warning)
	}
	s.keep = append(s.keep, keeper{what: "certificate", file: cert, watch: watch, reload: pair.Reload})
	s.tls = certs.ServerConfig(pair)
	return nil
}
