// Package testserver runs the real moorgate program for tests: built once,
// started on a free port of the loopback, ended with the test.
package testserver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a running moorgate process.
type Server struct {
	URL     string // such as "https://127.0.0.1:43121"
	Addr    string // its host and port
	DataDir string // what was given as --data
	Process *os.Process

	log  *logBuffer
	done chan struct{} // closed when the process has ended
	err  error         // of the process; read after done
}

// startTimeout bounds the wait for the "listening" line. It only ends tests whose
// server hangs: a machine that runs many tests may stand still for long.
const startTimeout = 2 * time.Minute

// stopTimeout bounds the wait for a graceful stop, which may take 30 s by itself.
const stopTimeout = 2 * time.Minute

// Start runs "moorgate serve" with args on a free port and a data directory of
// its own, and waits until it listens. Arguments that name --data or --listen
// win. The process is stopped at the end of the test; one that then ends with
// an error fails the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return StartAs(t, "serve", args...)
}

// StartAs is Start for another role: "proxy" or "token".
func StartAs(t testing.TB, role string, args ...string) *Server {
	t.Helper()
	s, err := TryStartAs(t, role, args...)
	if err != nil {
		t.Fatalf("moorgate %s %s: %v\n%s", role, strings.Join(args, " "), err, s.Log())
	}
	return s
}

// TryStart is Start for a process that may refuse to start: it then returns
// the error of the process and a Server with nothing but its log.
func TryStart(t testing.TB, args ...string) (*Server, error) {
	t.Helper()
	return TryStartAs(t, "serve", args...)
}

// TryStartAs is TryStart for another role.
func TryStartAs(t testing.TB, role string, args ...string) (*Server, error) {
	t.Helper()
	s, err := launch(t, role, args...)
	if err != nil {
		return s, err
	}
	return s, s.AwaitListening()
}

// Launch is Start without the wait: the process may be ended before it listens.
// URL and Addr are set by AwaitListening.
func Launch(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := launch(t, "serve", args...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func launch(t testing.TB, role string, args ...string) (*Server, error) {
	t.Helper()
	s := &Server{DataDir: filepath.Join(t.TempDir(), "data"), log: &logBuffer{}, done: make(chan struct{})}
	run.add(s.log)
	all := []string{role}
	if i := indexFlag(args, "--data"); i >= 0 {
		s.DataDir = args[i+1]
	} else {
		all = append(all, "--data", s.DataDir)
	}
	if indexFlag(args, "--listen") < 0 {
		all = append(all, "--listen", "127.0.0.1:0")
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), Binary(t), append(all, args...)...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	s.Process = cmd.Process
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("moorgate did not stop well: %v\n%s", err, s.Log())
		}
	})
	return s, nil
}

func indexFlag(args []string, flag string) int {
	for i, a := range args {
		if a == flag && i+1 < len(args) {
			return i
		}
	}
	return -1
}

var listening = regexp.MustCompile(`msg=listening .*?url=(https?://(\S+))\s`)

// AwaitListening waits until the process that Launch has begun listens. It returns
// the error of a process that ends before.
func (s *Server) AwaitListening() error {
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if m := listening.FindStringSubmatch(s.Log()); m != nil {
			s.URL, s.Addr = m[1], m[2]
			return nil
		}
		select {
		case <-s.done:
			if s.err == nil {
				return errors.New("ended before it listened")
			}
			return s.err
		case <-timeout.C:
			return errors.New("does not listen")
		case <-tick.C:
		}
	}
}

// Log returns what the process has printed so far.
func (s *Server) Log() string { return s.log.String() }

// Stop ends the process by SIGTERM and waits. It returns nil if the process
// ended well, or had ended before.
func (s *Server) Stop() error {
	select {
	case <-s.done:
		return nil
	default:
	}
	if err := s.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
		return s.err
	case <-time.After(stopTimeout):
		s.Kill()
		return errors.New("still running after SIGTERM")
	}
}

// Kill ends the process by SIGKILL, as a crash does, and waits.
func (s *Server) Kill() {
	_ = s.Process.Kill() // it may have ended already
	<-s.done
}

// Wait waits until the process has ended and returns its error.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Binary returns the path of the moorgate program, built from this source tree
// once for the test process.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatalf("cannot build moorgate: %v", err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("no source path in this binary")
	}
	root := filepath.Join(filepath.Dir(file), "..", "..")
	// One path for all test processes: the go command replaces the file in one
	// step, and builds nothing when nothing changed.
	path := filepath.Join(root, ".cache", "bin", "moorgate")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/moorgate")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// logBuffer is a bytes.Buffer for two goroutines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
