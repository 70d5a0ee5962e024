package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/app"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/loglines"
)

// opener opens a server of one role.
type opener func(context.Context, app.Source, *slog.Logger, io.Writer) (*app.Server, error)

// runServer runs a server with the settings of a command until its context ends.
func runServer(cmd *cobra.Command, s *settings, open opener) error {
	cfg, warnings, err := s.read(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return err
	}
	lines := loglines.New(cmd.ErrOrStderr())
	defer func() { _ = lines.Close() }() // it never fails
	log := newLogger(cfg.Log, lines)
	for _, w := range warnings {
		if !strings.HasPrefix(w.Path, "access.") { // those are told whenever the rules are read
			log.Warn("configuration", "file", s.config, "line", w.Line, "setting", w.Path, "warning", w.Message)
		}
	}
	source := app.Source{Config: cfg, File: s.config, Read: func() (config.Config, error) {
		cfg, _, err := s.read(cmd.Flags(), os.LookupEnv)
		return cfg, err
	}}
	server, err := open(cmd.Context(), source, log, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	return runUntilDone(cmd.Context(), server)
}

// runUntilDone runs a server until the context ends, and reloads it on SIGHUP.
func runUntilDone(ctx context.Context, server *app.Server) error {
	ctx, cancel := context.WithCancelCause(ctx)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-hup:
				server.Reload(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	err := server.Run(ctx)
	cancel(errors.New("stopped"))
	select {
	case <-done:
	case <-time.After(lastReload):
	}
	return err
}

// lastReload is how long a reload that goes on may keep a server that has ended: what
// it waits for may never answer.
const lastReload = 2 * time.Second

// newLogger makes the one logger of the program.
func newLogger(l config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // config.Validate has said so
	}
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
