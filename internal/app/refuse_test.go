package app_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
	"github.com/moorgate/moorgate/internal/testserver"
)

// refused fails the test unless "moorgate serve" with args ends with exit code
// 1 and one line that has all of want.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	wantRefusal(t, serveCommand(t, testserver.Binary(t), args...), want)
}

func serveCommand(t *testing.T, binary string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, append([]string{"serve"}, args...)...)
	cmd.Dir = t.TempDir()
	return cmd
}

func wantRefusal(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%s\nended with %v, want exit code 1", cmd, err)
	}
	line, rest, _ := strings.Cut(stderr.String(), "\n")
	if !strings.HasPrefix(line, "moorgate: error: ") || rest != "" || stdout.Len() > 0 {
		t.Errorf("%s\nsaid this, want one line that begins with \"moorgate: error: \":\n%s%s", cmd, stdout.String(), stderr.String())
	}
	if !strings.Contains(line, want) {
		t.Errorf("%s\nsaid %q, want it to have %q", cmd, line, want)
	}
}

// pair makes a certificate for 127.0.0.1 in dir; again, another one from the
// same authority.
func pair(t *testing.T, dir string) certs.Result {
	t.Helper()
	hosts, err := certs.ParseHosts([]string{"127.0.0.1", "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := certs.Create(dir, certs.Request{Hosts: hosts, Now: time.Now()}, true)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestBadFilesAreOneLineEach(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	one, other := pair(t, path("one")), pair(t, path("other"))
	garbage := write(t, path("garbage"), "\x00\xffnot what it should be\n")
	empty := write(t, path("empty"), "")
	missing := path("missing")
	busy := busyPort(t)
	data := func(name, content string) string {
		d := filepath.Join(t.TempDir(), "data")
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(d, name), content)
		return d
	}
	damaged := data("registry.db", "SQLite format 3\x00"+strings.Repeat("garbage", 10000))
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no password file":            {[]string{"--htpasswd", missing}, missing + ": file does not exist; make it"},
		"password file is garbage":    {[]string{"--htpasswd", garbage}, garbage},
		"password file is a folder":   {[]string{"--htpasswd", dir}, dir},
		"no certificate":              {[]string{"--tls-cert", missing, "--tls-key", one.Key}, missing + " does not exist"},
		"no key":                      {[]string{"--tls-cert", one.Cert, "--tls-key", missing}, missing + " does not exist"},
		"certificate is garbage":      {[]string{"--tls-cert", garbage, "--tls-key", one.Key}, garbage},
		"certificate is empty":        {[]string{"--tls-cert", empty, "--tls-key", one.Key}, empty},
		"key of another certificate":  {[]string{"--tls-cert", one.Cert, "--tls-key", other.Key}, other.Key},
		"certificate without key":     {[]string{"--tls-cert", one.Cert}, "tls.key: missing"},
		"key without certificate":     {[]string{"--tls-key", one.Key}, "tls.cert: missing"},
		"no configuration":            {[]string{"--config", missing}, missing},
		"configuration is a folder":   {[]string{"--config", dir}, dir},
		"configuration is garbage":    {[]string{"--config", garbage}, garbage},
		"data directory is a file":    {[]string{"--data", garbage}, garbage + " is a file"},
		"data directory below a file": {[]string{"--data", filepath.Join(garbage, "data")}, garbage},
		"database is garbage":         {[]string{"--data", data("registry.db", strings.Repeat("garbage", 10000))}, "is damaged or not a database"},
		"database is damaged":         {[]string{"--data", damaged}, filepath.Join(damaged, "registry.db")},
		"blobs is a file":             {[]string{"--data", data("blobs", "")}, "blobs"},
		"uploads is a file":           {[]string{"--data", data("uploads", "")}, "uploads"},
		"users is garbage":            {[]string{"--data", data("users", "garbage")}, "users"},
		"port in use":                 {[]string{"--listen", busy}, "cannot listen on " + busy},
		"no such address":             {[]string{"--listen", "127.0.0.1:99999"}, "99999"},
		"open with a password file":   {[]string{"--open", "--htpasswd", empty}, "open: an open registry asks for no login"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := test.args
			if !contains(args, "--data") {
				args = append(args, "--data", filepath.Join(t.TempDir(), "data"))
			}
			if !contains(args, "--listen") {
				args = append(args, "--listen", "127.0.0.1:0")
			}
			refused(t, test.want, args...)
		})
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// busyPort returns an address of the loopback that somebody listens on.
func busyPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// nobody is a user without rights.
const nobody = 65534

// TestUnreadableFilesAreOneLineEach runs the program as another user: root may
// read everything.
func TestUnreadableFilesAreOneLineEach(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("this test has to be run by root: it starts the program as another user")
	}
	dir := t.TempDir()
	made := pair(t, filepath.Join(dir, "tls"))
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Join(dir, "tls")} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "moorgate") // the source tree may be closed to the other user
	copyFile(t, testserver.Binary(t), program)
	secret := write(t, filepath.Join(dir, "secret"), "")
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"password file":               {[]string{"--data", data, "--htpasswd", secret}, secret + ": permission denied; change its owner or mode"},
		"key":                         {[]string{"--data", data, "--tls-cert", made.Cert, "--tls-key", made.Key}, made.Key + " may not be read by this user"},
		"configuration":               {[]string{"--config", secret}, secret + ": permission denied"},
		"data directory":              {[]string{"--data", closed}, closed},
		"data directory out of reach": {[]string{"--data", filepath.Join(closed, "data")}, closed},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share a data directory
			cmd := serveCommand(t, program, append(test.args, "--listen", "127.0.0.1:0")...)
			cmd.Dir = dir
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			wantRefusal(t, cmd, test.want)
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestFailedFirstStartLosesNoPassword: the first user's password is shown once,
// so it must not be made by a start that fails.
func TestFailedFirstStartLosesNoPassword(t *testing.T) {
	t.Parallel()
	made := pair(t, t.TempDir())
	for name, args := range map[string][]string{
		"port in use":    {"--listen", busyPort(t)},
		"no certificate": {"--listen", "127.0.0.1:0", "--tls-cert", "missing", "--tls-key", made.Key},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			refused(t, "", append(args, "--data", data)...)
			s := start(t, "", "--data", data)
			firstPassword(t, s)
		})
	}
}
