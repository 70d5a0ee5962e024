package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/ldaptest"
	"github.com/moorgate/moorgate/internal/authn/programtest"
	"github.com/moorgate/moorgate/internal/session"
	"github.com/moorgate/moorgate/internal/testserver"
)

// remembering starts a server with one source that is asked again after a long time.
func remembering(t *testing.T, login string) *client {
	t.Helper()
	file := write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), fmt.Sprintf(`
login:
  - %s
limits: {password_cache: 1h}
access: {rules: [{who: "user:*", may: [pull, push], repos: "**"}]}
`, login))
	return newClient(t, testserver.Start(t, "--config", file), nil)
}

// offline asks for a registry token with a refresh token.
func (c *client) offline(t *testing.T) (status int, refresh string) {
	t.Helper()
	got := c.do(t, http.MethodGet, "/token?service=moorgate&offline_token=true&client_id=test", nil)
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(got.body, &answer); err != nil {
		t.Fatalf("%s: %v", got.body, err)
	}
	return got.status, answer.RefreshToken
}

// aProgram returns the configuration of a program that is remembered, and its users.
func aProgram(t *testing.T) (string, *programtest.Users) {
	t.Helper()
	users := programtest.NewUsers(t, map[string]string{"bob": "first"})
	return fmt.Sprintf(`exec: {command: ["%s"], timeout: 1m, cache: 1h}`, strings.Join(programtest.Command(t, users), `", "`)), users
}

// aDirectory returns the configuration of a directory that is remembered, and the DN of
// bob there.
func aDirectory(t *testing.T) (string, *ldaptest.Server, string) {
	t.Helper()
	s := ldaptest.Start(t)
	bob := s.AddPerson(t, ldaptest.People, "bob", "first")
	return fmt.Sprintf(`ldap: {urls: %s, ca: %s, bind_dn: %q, password_file: %s, users: {base: %q}, timeout: 1m, cache: 1h}`,
		s.TLSURL, s.CA, ldaptest.Searcher, s.PasswordFile, ldaptest.People), s, bob
}

// TestWhoIsGoneGetsNothingThatLasts: somebody who was removed at their source is let in
// for as long as they are remembered, and gets no more in that time.
func TestWhoIsGoneGetsNothingThatLasts(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) (login string, remove func()){
		"program": func(t *testing.T) (string, func()) {
			login, users := aProgram(t)
			return login, func() { users.Set(t, map[string]string{"carol": "first"}) }
		},
		"directory": func(t *testing.T) (string, func()) {
			login, s, bob := aDirectory(t)
			return login, func() { s.Delete(t, bob) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			login, remove := open(t)
			anybody := remembering(t, login)
			bob := anybody.as("bob", "first")
			if status := bob.status(t); status != http.StatusOK {
				t.Fatalf("before: status %d", status)
			}
			remove()
			if status := bob.status(t); status != http.StatusOK {
				t.Fatalf("the password is not remembered: status %d", status)
			}
			if status, refresh := bob.offline(t); status != http.StatusUnauthorized || refresh != "" {
				t.Errorf("status %d, a refresh token: %v", status, refresh != "")
			}
			if got := anybody.startSession(t, http.StatusUnauthorized, "grant_type", "password", "username", "bob", "password", "first"); got.Token != "" {
				t.Error("who is gone has got a session")
			}
		})
	}
}

// TestASourceThatIsAwayGivesNoSession: who signs in by what is remembered is told to
// come again for a session.
func TestASourceThatIsAwayGivesNoSession(t *testing.T) {
	t.Parallel()
	login, s, _ := aDirectory(t)
	anybody := remembering(t, login)
	if status := anybody.as("bob", "first").status(t); status != http.StatusOK {
		t.Fatalf("before: status %d", status)
	}
	s.Stop()
	form := url.Values{"service": {session.Audience}, "grant_type": {"password"}, "username": {"bob"}, "password": {"first"}}
	a := anybody.want(t, http.StatusServiceUnavailable, http.MethodPost, "/token", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestAnOldPasswordGetsNothingThatLasts: a password that was changed at its source is
// let in for as long as it is remembered, but what it would get in that time is bound to
// the new one.
func TestAnOldPasswordGetsNothingThatLasts(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) (login string, change func()){
		"program": func(t *testing.T) (string, func()) {
			login, users := aProgram(t)
			return login, func() { users.Set(t, map[string]string{"bob": "second"}) }
		},
		"directory": func(t *testing.T) (string, func()) {
			login, s, bob := aDirectory(t)
			return login, func() { s.Replace(t, bob, "userPassword", "second") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			login, change := open(t)
			anybody := remembering(t, login)
			old, now := anybody.as("bob", "first"), anybody.as("bob", "second")
			if status, refresh := old.offline(t); status != http.StatusOK || refresh == "" {
				t.Fatalf("before: status %d, a refresh token: %v", status, refresh != "")
			}
			change()
			if status := old.status(t); status != http.StatusOK {
				t.Fatalf("the old password is not remembered: status %d", status)
			}
			if status, refresh := old.offline(t); status != http.StatusUnauthorized || refresh != "" {
				t.Errorf("the old password: status %d, a refresh token: %v", status, refresh != "")
			}
			form := []string{"grant_type", "password", "username", "bob", "password"}
			if got := anybody.startSession(t, http.StatusUnauthorized, append(form, "first")...); got.Token != "" {
				t.Error("the old password has got a session")
			}
			if status, refresh := now.offline(t); status != http.StatusOK || refresh == "" {
				t.Errorf("the new password: status %d, a refresh token: %v", status, refresh != "")
			}
			got := anybody.startSession(t, http.StatusOK, append(form, "second")...)
			if status := anybody.as("bob", got.Token).status(t); status != http.StatusOK {
				t.Errorf("the session of the new password: status %d", status)
			}
		})
	}
}
