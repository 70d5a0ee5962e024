package app_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// stuckServer starts a server whose standard output nobody reads, until the end of
// the test. ended is closed when it has ended.
func stuckServer(t *testing.T, config string) (s *testserver.Server, log func() string, ended <-chan error) {
	t.Helper()
	dir := t.TempDir()
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), testserver.Binary(t), "serve",
		"--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--config", write(t, filepath.Join(dir, "moorgate.yaml"), config))
	cmd.Stdout, cmd.Stderr = in, logFile
	if err := errors.Join(cmd.Start(), in.Close(), logFile.Close()); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, if the test has passed
		_, _ = io.Copy(io.Discard, out)
		_ = out.Close()
		testserver.Printed([]byte(readFile(t, logFile.Name())))
	})
	log = func() string { return readFile(t, logFile.Name()) }
	listening := regexp.MustCompile(`msg=listening url=(http://(\S+))`)
	eventually(t, "that it listens", func() bool { return listening.MatchString(log()) })
	at := listening.FindStringSubmatch(log())
	return &testserver.Server{URL: at[1], Addr: at[2], Process: cmd.Process}, log, over
}

// Where nobody reads the audit on standard output, a reload does its work, and the
// server can be ended.
func TestReloadAndEndWhileTheAuditIsStuck(t *testing.T) {
	t.Parallel()
	s, log, ended := stuckServer(t, audited(usersFile(t, "the password of alice"), "{stdout: true, pulls: true}"))
	alice := newClient(t, s, nil).as("alice", "the password of alice")
	for range 600 { // of about 250 bytes; a pipe has 64 KiB
		alice.want(t, http.StatusNotFound, http.MethodGet, "/v2/team/app/tags/list", nil)
	}
	signal := func(which os.Signal) {
		if err := s.Process.Signal(which); err != nil {
			t.Fatal(err)
		}
	}
	reloaded := regexp.MustCompile(`(?s)reloaded users.*reloaded policy|reloaded policy.*reloaded users`)
	signal(syscall.SIGHUP)
	eventually(t, "the reload", func() bool { return reloaded.MatchString(log()) })
	signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		// It says what is missing: that is its error.
		if err == nil || !regexp.MustCompile("stdout lacks the last records").MatchString(log()) {
			t.Errorf("%v\n%s", err, log())
		}
	case <-time.After(patience):
		t.Errorf("it does not end:\n%s", log())
	}
}
