package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/certtest"
	"github.com/moorgate/moorgate/internal/authn/programtest"
	"github.com/moorgate/moorgate/internal/testserver"
)

// startHook runs a service, whose secret is looked for in all logs.
func startHook(t *testing.T, users *programtest.Users) *programtest.Service {
	t.Helper()
	hook := programtest.Start(t, users)
	hookSecret(strings.TrimSpace(readFile(t, hook.SecretFile)))
	return hook
}

// hookSecret returns a secret that is looked for in all logs.
func hookSecret(secret string) string {
	testserver.Secret(secret, strings.TrimPrefix(secret, "whsec_"))
	return secret
}

// withPrograms starts a server whose people are those of a program, of a service,
// and of a password file.
func withPrograms(t *testing.T, program, service *programtest.Users) (*testserver.Server, *programtest.Service) {
	t.Helper()
	hook := startHook(t, service)
	command := programtest.Command(t, program)
	file := write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), fmt.Sprintf(`
login:
  - exec: {command: ["%s"], timeout: 1m, cache: 0s}
  - webhook: {url: "%s", ca: "%s", secret_file: "%s", timeout: 1m, cache: 0s}
  - htpasswd: {file: "%s"}
access:
  rules:
    - {who: "group:of-bob", may: [pull, push], repos: "bob/**"}
    - {who: user:carol, may: [pull, push], repos: "core/**", when: 'claims.team == "core" && who.source == "webhook"'}
    - {who: user:alice, may: [pull, push], repos: "**"}
`, strings.Join(command, `", "`), hook.URL, hook.CA, hook.SecretFile, usersFile(t, "file word 3")))
	return testserver.Start(t, "--config", file), hook
}

// TestProgramsBesideAFile lets people of a program, a service and a password file
// in, with the rights of their groups and claims. While one of them cannot answer,
// its people are told to come again, and the others do not notice.
func TestProgramsBesideAFile(t *testing.T) {
	t.Parallel()
	program := programtest.NewUsers(t, map[string]string{"bob": "program word 2"})
	s, hook := withPrograms(t, program, programtest.NewUsers(t, map[string]string{"carol": "carol at the service"}))
	anybody := newClient(t, s, nil)
	alice, bob, carol := anybody.as("alice", "file word 3"), anybody.as("bob", "program word 2"), anybody.as("carol", "carol at the service")
	push := func(c *client, repo string) int {
		return c.do(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil).status
	}
	for _, tt := range []struct {
		c    *client
		repo string
		want int
	}{
		{alice, "bob/app", http.StatusAccepted},
		{bob, "bob/app", http.StatusAccepted},
		{bob, "core/app", http.StatusNotFound}, // what one may not even see is not there
		{carol, "core/app", http.StatusAccepted},
		{carol, "bob/app", http.StatusNotFound},
	} {
		if got := push(tt.c, tt.repo); got != tt.want || tt.c.status(t) != http.StatusOK {
			t.Errorf("%s pushes to %s: status %d, want %d", tt.c.user, tt.repo, got, tt.want)
		}
	}
	for _, wrong := range []*client{anybody.as("bob", "carol at the service"), anybody.as("carol", "program word 2"), anybody.as("mallory", ""), anybody.as("Bob", "program word 2")} {
		if got := wrong.status(t); got != http.StatusUnauthorized {
			t.Errorf("%s with another password gets %d", wrong.user, got)
		}
	}
	if err := os.Remove(program.File); err != nil {
		t.Fatal(err)
	}
	away := func(c *client, words ...string) {
		t.Helper()
		if got := c.do(t, http.MethodGet, "/v2/", nil); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s gets %d, Retry-After %q", c.user, got.status, got.header.Get("Retry-After"))
		}
		logged(t, s, append(words, "request failed")...)
	}
	away(bob, "program exec: it has ended with exit status 1")
	hook.Stop()
	program.Set(t, map[string]string{"bob": "program word 2"})
	away(carol, "program webhook: it cannot be reached", "connection refused")
	for _, c := range []*client{alice, bob} {
		if got := c.status(t); got != http.StatusOK {
			t.Errorf("without the service %s gets %d", c.user, got)
		}
	}
	write(t, hook.SecretFile, hookSecret(programtest.NewSecret())) // which the server learns by itself
	hook.Restart(t)
	carol.soon(t, http.StatusOK)
	for _, secret := range []string{"program word 2", "carol at the service", "whsec_"} {
		if strings.Contains(s.Log(), secret) {
			t.Errorf("the log tells %q:\n%s", secret, s.Log())
		}
	}
}

// TestTLSOfAServiceChanges: the file with its authority is read again while serving,
// and one that is none changes nothing.
func TestTLSOfAServiceChanges(t *testing.T) {
	t.Parallel()
	passwords := map[string]string{"carol": "carol, and nobody else"}
	s, hook := withPrograms(t, programtest.NewUsers(t, map[string]string{"bob": "x"}), programtest.NewUsers(t, passwords))
	carol := newClient(t, s, nil).as("carol", "carol, and nobody else")
	carol.want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
	right, err := os.ReadFile(hook.CA)
	if err != nil {
		t.Fatal(err)
	}
	certtest.Write(t, hook.CA, "none")
	eventually(t, "the log to say that the file is bad", func() bool {
		return strings.Contains(s.Log(), "cannot reload TLS of login webhook: the last good one stays in force")
	})
	carol.want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
	certtest.Write(t, hook.CA, certtest.NewAuthority(t, "Others").PEM())
	carol.soon(t, http.StatusServiceUnavailable)
	certtest.Write(t, hook.CA, string(right))
	carol.soon(t, http.StatusOK)
}

// TestRefreshTokensOfAProgram ends refresh tokens when the program says that the
// password has changed, or that the user is gone.
func TestRefreshTokensOfAProgram(t *testing.T) {
	t.Parallel()
	passwords := map[string]string{"bob": "first", "dave": "first"}
	program, service := programtest.NewUsers(t, passwords), programtest.NewUsers(t, map[string]string{"carol": "first"})
	s, _ := withPrograms(t, program, service)
	anybody := newClient(t, s, nil)
	tokens := map[string]string{}
	for _, user := range []string{"bob", "carol", "dave"} {
		got := anybody.as(user, "first").do(t, http.MethodGet, "/token?service=moorgate&offline_token=true&client_id=test", nil)
		var answer struct {
			RefreshToken string `json:"refresh_token"`
		}
		if err := json.Unmarshal(got.body, &answer); err != nil || answer.RefreshToken == "" {
			t.Fatalf("%s gets %d and no refresh token: %s, %v", user, got.status, got.body, err)
		}
		tokens[user] = answer.RefreshToken
	}
	redeem := func(user string) int {
		form := url.Values{"grant_type": {"refresh_token"}, "service": {"moorgate"}, "client_id": {"test"}, "refresh_token": {tokens[user]}}
		return anybody.do(t, http.MethodPost, "/token", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded").status
	}
	for user := range tokens {
		if got := redeem(user); got != http.StatusOK {
			t.Errorf("the token of %s: %d", user, got)
		}
	}
	program.Set(t, map[string]string{"bob": "second"})
	service.Set(t, map[string]string{"carol": "second"})
	for user := range tokens {
		if got := redeem(user); got != http.StatusUnauthorized {
			t.Errorf("the token of %s, who has another password or is gone: %d", user, got)
		}
	}
}
