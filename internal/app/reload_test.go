package app_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/testserver"
)

var shownPassword = regexp.MustCompile(`(?m)^ +password: (\S+)$`)

// firstPassword returns the password of admin that a first start shows.
func firstPassword(t *testing.T, s *testserver.Server) string {
	t.Helper()
	m := shownPassword.FindStringSubmatch(s.Log())
	if m == nil {
		t.Fatalf("no password is shown:\n%s", s.Log())
	}
	return m[1]
}

// passwd runs the real "moorgate passwd" with a password on standard input.
func passwd(t *testing.T, input string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testserver.Binary(t), append([]string{"passwd"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// usersFile makes a password file with alice, cheap to check.
func usersFile(t *testing.T, password string) string {
	t.Helper()
	hash, err := htpasswd.Hash(password, htpasswd.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "users"), "alice:"+hash+"\n")
}

// status asks for /v2/ as the client.
func (c *client) status(t *testing.T) int {
	t.Helper()
	return c.do(t, http.MethodGet, "/v2/", nil).status
}

// soon waits until a request of the client is answered with a status.
func (c *client) soon(t *testing.T, status int) {
	t.Helper()
	eventually(t, c.user+" to be answered "+http.StatusText(status), func() bool { return c.status(t) == status })
}

func TestUsersChangeWhileServing(t *testing.T) {
	t.Parallel()
	file := usersFile(t, "old secret")
	s := start(t, "", "--htpasswd", file)
	anonymous := newClient(t, s, nil)
	alice, bob := anonymous.as("alice", "old secret"), anonymous.as("bob", "bob's secret")
	alice.soon(t, http.StatusOK) // and remembered
	if got := bob.status(t); got != http.StatusUnauthorized {
		t.Fatalf("bob is answered %d before he is there", got)
	}

	passwd(t, "bob's secret\n", "add", "--cost", "4", file, "bob")
	bob.soon(t, http.StatusOK)

	passwd(t, "new secret\n", "add", "--cost", "4", file, "alice")
	anonymous.as("alice", "new secret").soon(t, http.StatusOK)
	if got := alice.status(t); got != http.StatusUnauthorized {
		t.Errorf("the old password is answered %d after the new one was taken", got)
	}

	passwd(t, "", "remove", file, "bob")
	bob.soon(t, http.StatusUnauthorized)
	if n := strings.Count(s.Log(), "level=ERROR"); n > 0 {
		t.Errorf("%d errors in the log", n)
	}
}

func TestBrokenUsersFileKeepsTheLastGoodOne(t *testing.T) {
	t.Parallel()
	file := usersFile(t, "secret")
	s := start(t, "", "--htpasswd", file)
	alice := newClient(t, s, nil).as("alice", "secret")
	write(t, file, "alice:this is no hash\n")
	logged(t, s, "level=ERROR", "cannot reload users: the last good one stays in force", file)
	if got := alice.status(t); got != http.StatusOK {
		t.Errorf("alice is answered %d, want the users of the last good file", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	logged(t, s, "level=ERROR", "cannot reload users", "does not exist")
	if got := alice.status(t); got != http.StatusOK {
		t.Errorf("alice is answered %d without a file, want the last good users", got)
	}
	passwd(t, "bob's secret\n", "add", "--cost", "4", file, "bob")
	newClient(t, s, nil).as("bob", "bob's secret").soon(t, http.StatusOK)
	if got := alice.status(t); got != http.StatusUnauthorized {
		t.Errorf("alice is answered %d, but is not in the new file", got)
	}
}

func TestHangupReloadsUsersAndCertificate(t *testing.T) {
	t.Parallel()
	made := pair(t, t.TempDir())
	file := usersFile(t, "secret")
	s := start(t, "", "--htpasswd", file, "--tls-cert", made.Cert, "--tls-key", made.Key)
	for range 2 { // the second one as well
		before := strings.Count(s.Log(), "reloaded certificate")
		if err := s.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the reload", func() bool { return strings.Count(s.Log(), "reloaded certificate") > before })
		logged(t, s, "level=INFO", "reloaded users", file)
	}
	newClient(t, s, trust(t, made.CACert)).as("alice", "secret").soon(t, http.StatusOK)
}
