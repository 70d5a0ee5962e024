package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/credhelper"
	"github.com/moorgate/moorgate/internal/keyring"
)

// waitingHelper runs the program for docker, and returns when it waits for a process
// that holds the lock of a login.
func waitingHelper(t *testing.T) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	const host = "registry.example.com:5043"
	home := t.TempDir()
	k := keyring.Keyring{Dir: filepath.Join(home, "moorgate", "credentials")}
	if err := k.Write(host, keyring.Credential{User: "alice", TokenURL: "https://" + host + "/token", Refresh: "r"}); err != nil {
		t.Fatal(err)
	}
	unlock, err := k.Lock(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unlock() })
	var out bytes.Buffer
	cmd := exec.Command(credhelper.Name, "get")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(host), &out, &out
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if !eventually(func() bool { return hasOpen(cmd.Process.Pid, filepath.Join(k.Dir, host)) }) {
		t.Fatal("it does not try to lock")
	}
	return cmd, &out
}

// hasOpen reports whether a process has a file open.
func hasOpen(pid int, path string) bool {
	links, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	for _, link := range links {
		if target, _ := os.Readlink(link); target == path {
			return true
		}
	}
	return false
}

// A process that holds the lock may hang. Ctrl-C at docker ends the helper all the same.
func TestAHelperThatWaitsCanBeInterrupted(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			cmd, out := waitingHelper(t)
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			var err error
			if !eventually(func() bool {
				select {
				case err = <-ended:
					return true
				default:
					return false
				}
			}) {
				t.Fatal("it waits on")
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out.String(), "another process holds the lock") {
				t.Errorf("it ends with %v, and says %q", err, out)
			}
		})
	}
}
