package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/session"
)

// sessionAnswer is what the token endpoint says of a session.
type sessionAnswer struct {
	Token   string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Account string `json:"account"`
}

// startSession asks for a session.
func (c *client) startSession(t *testing.T, status int, pairs ...string) (s sessionAnswer) {
	t.Helper()
	form := url.Values{"service": {session.Audience}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	a := c.want(t, status, http.MethodPost, "/token", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	if err := json.Unmarshal(a.body, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestASessionInPlaceOfAPassword is the life of a session: asked for with a password,
// used as one, and over when the password changes.
func TestASessionInPlaceOfAPassword(t *testing.T) {
	t.Parallel()
	file := usersFile(t, "the password")
	audit := filepath.Join(t.TempDir(), "audit.log")
	s := start(t, "audit: {file: {path: "+audit+"}, required: true}\naccess: {rules: [{who: user:alice, may: [pull, push], repos: \"**\"}]}\n", "--htpasswd", file)
	anybody := newClient(t, s, nil)
	got := anybody.startSession(t, http.StatusOK, "grant_type", "password", "username", "alice", "password", "the password", "access_type", "offline")
	if got.Account != "alice" || got.Refresh == "" {
		t.Fatalf("account %q, refresh token %v", got.Account, got.Refresh != "")
	}
	alice := anybody.as("alice", got.Token)
	content := []byte("pushed in a session")
	alice.push(t, "team/app", content)
	alice.holds(t, "team/app", content)
	if status := anybody.as("bob", got.Token).status(t); status != http.StatusUnauthorized {
		t.Errorf("alice's session lets bob in: status %d", status)
	}
	bearer := []string{"Authorization", "Bearer " + got.Token}
	anybody.want(t, http.StatusOK, http.MethodGet, "/v2/team/app/blobs/"+digestOf(content), nil, bearer...)

	// A session gets a registry token, and nothing that lives longer than it.
	a := alice.want(t, http.StatusOK, http.MethodGet, "/token?service=moorgate&offline_token=true&scope=repository:team/app:pull", nil)
	if strings.Contains(string(a.body), "refresh_token") {
		t.Errorf("a refresh token for a session: %s", a.body)
	}
	anybody.startSession(t, http.StatusBadRequest, "grant_type", "password", "username", "alice", "password", got.Token)

	// The refresh token gets the next one, until it is given back.
	next := anybody.startSession(t, http.StatusOK, "grant_type", "refresh_token", "refresh_token", got.Refresh)
	if status := anybody.as("alice", next.Token).status(t); status != http.StatusOK {
		t.Errorf("the next session: status %d", status)
	}
	revoke := func(status int, token string) {
		anybody.want(t, status, http.MethodPost, "/token/revoke", strings.NewReader("token="+token), "Content-Type", "application/x-www-form-urlencoded")
	}
	revoke(http.StatusBadRequest, next.Token) // it goes on being good
	revoke(http.StatusOK, "nonsense")
	revoke(http.StatusOK, got.Refresh)
	anybody.startSession(t, http.StatusUnauthorized, "grant_type", "refresh_token", "refresh_token", got.Refresh)

	var lasting []string
	for _, r := range auditLines(t, readFile(t, audit)) {
		if r.Operation == "session" || strings.HasPrefix(r.Operation, "token-") {
			lasting = append(lasting, r.short())
		}
	}
	want := []string{"done alice token-issue", "done alice session", "done alice session", "done alice token-revoke"}
	if diff := cmp.Diff(want, lasting); diff != "" {
		t.Errorf("what lasts, on record (-want +got):\n%s", diff)
	}

	hash, err := htpasswd.Hash("another password", htpasswd.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := htpasswd.Set(file, "alice", hash); err != nil {
		t.Fatal(err)
	}
	alice.soon(t, http.StatusUnauthorized)
	for _, secret := range []string{got.Token, next.Token, got.Refresh} {
		if strings.Contains(s.Log(), secret) {
			t.Error("the log has a secret")
		}
	}
}

// TestNoSessions: where they are switched off a program learns that before it sends a
// password.
func TestNoSessions(t *testing.T) {
	t.Parallel()
	s := start(t, "token: {session_ttl: 0}\n", "--htpasswd", usersFile(t, "the password"))
	c := newClient(t, s, nil)
	a := c.want(t, http.StatusOK, http.MethodGet, "/.well-known/moorgate.json", nil)
	if !strings.Contains(string(a.body), `"session_seconds":0`) {
		t.Errorf("about: %s", a.body)
	}
	c.startSession(t, http.StatusBadRequest, "grant_type", "password", "username", "alice", "password", "the password")
}
