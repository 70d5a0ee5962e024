package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/ldaptest"
	"github.com/moorgate/moorgate/internal/testserver"
)

// TestDirectoryBesideAFile lets people of a directory and of a password file in,
// with the rights of their groups. While the directory is away, its people are told
// to come again, and those of the file do not notice.
func TestDirectoryBesideAFile(t *testing.T) {
	t.Parallel()
	directory := ldaptest.Start(t)
	bob := directory.AddPerson(t, ldaptest.People, "bob", "directory word 1")
	directory.AddPerson(t, ldaptest.People, "carol", "directory word 1")
	directory.AddGroup(t, "developers", bob)
	file := write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), fmt.Sprintf(`
login:
  - ldap:
      urls: %s
      ca: %s
      bind_dn: %s
      password_file: %s
      users: {base: "%s"}
      groups: {base: "%s"}
      timeout: 30s
      cache: 0s
  - htpasswd: {file: %s}
access:
  rules:
    - {who: group:developers, may: [pull, push], repos: "team/**"}
    - {who: user:alice, may: [pull, push], repos: "**"}
`, directory.TLSURL, directory.CA, ldaptest.Searcher, directory.PasswordFile, ldaptest.People, ldaptest.Groups, usersFile(t, "file word 3")))
	s := testserver.Start(t, "--config", file)
	anybody := newClient(t, s, nil)
	alice, bobby, carol := anybody.as("alice", "file word 3"), anybody.as("bob", "directory word 1"), anybody.as("carol", "directory word 1")
	for _, tt := range []struct {
		c    *client
		want int
	}{{alice, http.StatusAccepted}, {bobby, http.StatusAccepted}, {carol, http.StatusNotFound}} { // what one may not even see is not there
		if got := tt.c.do(t, http.MethodPost, "/v2/team/app/blobs/uploads/", nil).status; got != tt.want || tt.c.status(t) != http.StatusOK {
			t.Errorf("%s: status %d for a push, want %d", tt.c.user, got, tt.want)
		}
	}
	if wrong := anybody.as("bob", "file word 3"); wrong.status(t) != http.StatusUnauthorized {
		t.Error("bob is let in with the password of another")
	}
	directory.Stop()
	if got := bobby.do(t, http.MethodGet, "/v2/", nil); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("without the directory bob gets %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	if got := alice.status(t); got != http.StatusOK {
		t.Errorf("without the directory alice gets %d", got)
	}
	logged(t, s, "request failed", "directory ldap", "connection refused")
	directory.Restart(t)
	bobby.soon(t, http.StatusOK)
}
