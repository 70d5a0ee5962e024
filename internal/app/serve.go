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
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/certs"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/datadir"
	"github.com/moorgate/moorgate/internal/distapi"
	"github.com/moorgate/moorgate/internal/filewatch"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/gc"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/middleware"
	"github.com/moorgate/moorgate/internal/registry"
)

// Server is a registry that is open and listens, but does not answer yet.
type Server struct {
	cfg      config.Config
	log      *slog.Logger
	listener net.Listener
	tls      *tls.Config // nil: plain HTTP
	http     *http.Server
	pushes   *pushes
	keep     []keeper                // what is read again when its files change
	tasks    []func(context.Context) // what runs beside the server until it stops
	closers  []io.Closer
}

// Serve opens what cfg, which is valid, names. What a new user should see goes
// to out. The caller runs the server, or closes it.
func Serve(ctx context.Context, cfg config.Config, log *slog.Logger, out io.Writer) (_ *Server, err error) {
	s := &Server{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	reg, err := s.openRegistry(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.openTLS(); err != nil {
		return nil, err
	}
	s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", cfg.Listen, err)
	}
	s.closers = append(s.closers, s.listener)
	// Last, for it may make a first user, whose password is shown only once: a
	// start that fails must not.
	first, err := s.openDoors(&distapi.API{Registry: reg})
	if err != nil {
		return nil, err
	}
	s.greet(out, first)
	return s, nil
}

// openRegistry opens the data directory and the stores in it.
func (s *Server) openRegistry(ctx context.Context) (*registry.Registry, error) {
	dir, err := datadir.Open(s.cfg.Data)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, dir)
	store, err := sqlmeta.OpenSQLite(ctx, sqlmeta.SQLite{Path: filepath.Join(s.cfg.Data, "registry.db")})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, store)
	blobs, err := disk.Open(disk.Config{Dir: s.cfg.Data})
	if err != nil {
		return nil, err
	}
	janitor := &gc.Uploads{
		Blobs: blobs, Meta: store, Log: s.log, Now: time.Now,
		Every: 10 * time.Minute, Expiry: s.cfg.Limits.UploadExpiry,
	}
	s.tasks = append(s.tasks, janitor.Run)
	return registry.New(blobs, store, registry.Options{
		Sparse: s.cfg.Registry.Sparse, NoDelete: !s.cfg.Registry.Delete,
		UploadsPerOwner: s.cfg.Limits.UploadsPerUser, UploadExpiry: s.cfg.Limits.UploadExpiry,
	}), nil
}

// openDoors puts the gate in front of a handler, and what every request passes
// before the gate. It returns the first user if it had to make one.
func (s *Server) openDoors(next gate.Handler) (*firstUser, error) {
	s.pushes = &pushes{next: next, now: time.Now}
	g := &gate.Gate{
		Next: s.pushes, Policy: access.Open, Audit: auditLog(s.log), Log: s.log, Realm: "Moorgate",
	}
	var first *firstUser
	if !s.cfg.Open {
		var err error
		if g.Login, first, err = s.openLogin(); err != nil {
			return nil, err
		}
		g.Policy = access.SignedIn
	}
	chain := []middleware.Middleware{
		middleware.RequestID(),
		middleware.Client(s.cfg.Proxies()),
		middleware.Idle(s.cfg.Limits.IdleTimeout),
	}
	if s.cfg.Log.Access {
		chain = append(chain, middleware.AccessLog(s.log))
	}
	chain = append(chain, middleware.Recover(s.log))
	s.http = &http.Server{
		Handler:           middleware.Chain(g, chain...),
		ReadHeaderTimeout: s.cfg.Limits.HeaderTimeout,
		IdleTimeout:       s.cfg.Limits.IdleTimeout,
		MaxHeaderBytes:    s.cfg.Limits.HeaderBytes,
		TLSConfig:         s.tls,
		ErrorLog:          log.New(serverLog{s.log}, "", 0),
	}
	return first, nil
}

// Run answers requests until ctx ends, then stops gracefully: running pushes
// finish within the limit, new connections are refused. It closes the server.
func (s *Server) Run(ctx context.Context) error {
	s.log.InfoContext(ctx, "listening", "url", s.URL(), "data", s.cfg.Data)
	group, ctx := errgroup.WithContext(ctx)
	for _, task := range s.tasks {
		group.Go(func() error { task(ctx); return nil })
	}
	for _, k := range s.keep {
		group.Go(func() error { k.run(ctx, s.log); return nil })
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
		s.log.WarnContext(ctx, "stopped with requests cut off: they took longer than the limit", "limit", limit)
		return s.http.Close()
	}
	s.log.InfoContext(ctx, "stopped")
	return nil
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

// Reload reads all files again that can change while the server runs: users and
// certificates.
func (s *Server) Reload() {
	for _, k := range s.keep {
		k.reloadAndLog(s.log)
	}
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
