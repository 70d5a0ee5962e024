package command

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/programtest"
)

// openSample opens the sample with users.
func openSample(t *testing.T, passwords map[string]string) (*Source, *programtest.Users) {
	t.Helper()
	users := programtest.NewUsers(t, passwords)
	s, _ := openCommand(t, programtest.Command(t, users)...)
	return s, users
}

// openCommand opens a program that is given much time: a busy machine is no fault.
func openCommand(t *testing.T, command ...string) (s *Source, log *logBuffer) {
	t.Helper()
	return openConfig(t, func(c *Config) { c.Command, c.Timeout = command, time.Minute })
}

func openConfig(t *testing.T, change func(*Config)) (s *Source, log *logBuffer) {
	t.Helper()
	c := Default()
	change(&c)
	c.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	log = &logBuffer{}
	s, err := Open("exec", c, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, log
}

// logBuffer is a log that many may write.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// script writes a program.
func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "script")
	programtest.Write(t, name, []byte(text))
	return name
}

// shell is a program in a few lines of shell.
func shell(t *testing.T, lines string) []string {
	t.Helper()
	return []string{"/bin/sh", script(t, lines)}
}
