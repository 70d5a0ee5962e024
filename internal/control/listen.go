package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// socketFile is the name of the socket in the data directory.
const socketFile = "control.sock"

// maxPath is how long the path of a socket may be, in bytes: what struct
// sockaddr_un holds (unix(7)), less the zero at its end.
const maxPath = 107

// ErrPathTooLong says that the socket cannot be in the data directory, because
// the path of that is too long.
var ErrPathTooLong = errors.New("the path is too long for a socket")

// timeouts of the door. A rotation may have to wait for the disk.
const (
	headerTimeout = 10 * time.Second
	answerTimeout = time.Minute
)

func socketPath(dir string) (string, error) {
	path := filepath.Join(dir, socketFile)
	if len(path) > maxPath {
		return "", fmt.Errorf("%w: %s has %d bytes, at most %d are possible; give a --data with a shorter path, or one relative to the working directory",
			ErrPathTooLong, path, len(path), maxPath)
	}
	return path, nil
}

// Listen opens the door in a data directory that the caller has locked. The
// socket of a process that is gone is replaced. Closing the listener removes it.
//
// Errors: ErrPathTooLong, and others in one line for the operator.
func Listen(ctx context.Context, dir string) (net.Listener, error) {
	path, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{Control: private}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot make the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // where private does not do it
		return nil, errors.Join(fmt.Errorf("cannot make the control socket private: %w", err), l.Close())
	}
	return l, nil
}

// private sets the mode of a socket that has no name yet, so that it never has
// one with another mode: Linux makes the file with the mode of the descriptor.
func private(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.Fchmod(int(fd), 0o600) // where this fails, Listen sets the mode afterwards
	})
}

// removeStale removes a socket that nobody listens on.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot make the control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("cannot make the control socket: %s is something else; move it away", path)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // nothing was sent
		return fmt.Errorf("the control socket %s belongs to a process that runs; stop it, or give another --data", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("cannot replace the control socket of an earlier process: %w", err)
	}
	return nil
}

// Serve answers on l until ctx ends, and closes it. What keeps it from that goes
// to the log: a server without this door is still a server.
func (h *Handler) Serve(ctx context.Context, l net.Listener) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, WriteTimeout: answerTimeout,
		ErrorLog: slog.NewLogLogger(h.Log.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		h.Log.ErrorContext(ctx, "cannot serve the control socket", "err", err)
	}
}
