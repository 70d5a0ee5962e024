package powerloss

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	gosync "sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/app"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/client"
)

// visit opens a registry on a data directory, lets fn ask it, and closes it.
type visit func(ctx context.Context, data string, fn func(context.Context, *client.Client) error) error

// patience bounds what is done with one registry.
const patience = 2 * time.Minute

// here opens the registry in this process, which is what can be done often.
func here(ctx context.Context, data string, fn func(context.Context, *client.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cfg := config.Default()
	cfg.Open, cfg.Listen, cfg.Data = true, "127.0.0.1:0", data
	cfg.Log.Access = false
	cfg.Limits.StopTimeout = time.Millisecond // nobody is left who pushes
	log := &logText{}
	s, err := app.Serve(ctx, app.Source{Config: cfg}, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})), io.Discard)
	if err != nil {
		return fmt.Errorf("the server does not start: %w", err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	transport := &http.Transport{}
	err = fn(ctx, &client.Client{URL: s.URL(), HTTP: &http.Client{Transport: transport}})
	transport.CloseIdleConnections()
	stop()
	if e := <-ended; err == nil && e != nil {
		err = fmt.Errorf("the server does not stop well: %w", e)
	}
	if err != nil {
		return fmt.Errorf("%w\nlog of the server:\n%.2000s", err, log)
	}
	return nil
}

// elsewhere opens the registry in a process of its own, as users do.
func elsewhere(t *testing.T) visit {
	config := openConfig(t)
	return func(ctx context.Context, data string, fn func(context.Context, *client.Client) error) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		s, err := testserver.TryStart(t, "--data", data, "--config", config) //nolint:contextcheck // the test ends it
		if err != nil {
			return fmt.Errorf("the server does not start: %w\n%s", err, s.Log())
		}
		defer s.Kill()
		if err := fn(ctx, client.New(t, s.URL)); err != nil {
			return fmt.Errorf("%w\nlog of the server:\n%.2000s", err, s.Log())
		}
		return nil
	}
}

// logText is a buffer for many goroutines.
type logText struct {
	mu   gosync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// dataIn is where the data directory of an image is.
func dataIn(dir string) string { return filepath.Join(dir, "data") }
