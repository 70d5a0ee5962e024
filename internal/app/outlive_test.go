package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/testserver"
)

// shortTokens is a configuration whose tokens live for five seconds.
const shortTokens = `
token: {ttl: 5s, challenge: bearer}
access:
  rules:
    - {who: ["user:alice", "user:mallory"], may: [pull, push], repos: "team/**"}
    - {who: "user:bob", may: [pull, push, delete], repos: "secret/**"}
    - {who: "*", may: pull, repos: "public/**"}
`

// passwordFile makes users whose passwords are "the password of NAME".
func passwordFile(t *testing.T, users ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	for _, user := range users {
		hash, err := htpasswd.Hash("the password of "+user, 4)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := htpasswd.Set(file, user, hash); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// bothGates runs the test at a registry, and at a gateway in front of one.
func bothGates(t *testing.T, config string, test func(t *testing.T, s *testserver.Server)) {
	t.Helper()
	bothRoles(t, func(t *testing.T, run func(args ...string) *testserver.Server) {
		t.Helper()
		test(t, run(withConfig(t, config, nil)...))
	})
}

// bothRoles runs the test with a registry, and with a gateway in front of one: run
// starts it with more arguments.
func bothRoles(t *testing.T, test func(t *testing.T, run func(args ...string) *testserver.Server)) {
	t.Helper()
	users := passwordFile(t, "alice", "bob", "mallory")
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		test(t, func(args ...string) *testserver.Server {
			return start(t, "", append(args, "--htpasswd", users)...)
		})
	})
	t.Run("proxy", func(t *testing.T) {
		t.Parallel()
		test(t, func(args ...string) *testserver.Server {
			behind := start(t, "", "--open")
			return gateway(t, append(args, "--htpasswd", users, "--upstream", behind.URL)...)
		})
	})
}

// gateway runs a gateway, and prints its log if the test fails.
func gateway(t *testing.T, args ...string) *testserver.Server {
	t.Helper()
	s := testserver.StartAs(t, "proxy", args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the gateway:\n%s", s.Log())
		}
	})
	return s
}

// token gets a token for a user; "" is nobody.
func (c *client) token(t *testing.T, user, scope string) string {
	t.Helper()
	if user != "" {
		c = c.as(user, "the password of "+user)
	}
	a := c.want(t, http.StatusOK, http.MethodGet, "/token?service=moorgate&scope="+strings.ReplaceAll(scope, " ", "&scope="), nil)
	var reply struct{ Token string }
	if err := json.Unmarshal(a.body, &reply); err != nil || reply.Token == "" {
		t.Fatalf("no token: %v: %s", err, a.body)
	}
	return reply.Token
}

// A push may take longer than its token lives: what was begun in time is
// finished, and nothing else.
func TestPushOutlivesItsToken(t *testing.T) {
	t.Parallel()
	bothGates(t, shortTokens, func(t *testing.T, s *testserver.Server) {
		c := newClient(t, s, nil)
		mallorys := c.token(t, "mallory", "repository:team/app:pull,push")
		var bearer []string
		var session string
		// A busy machine may take longer to begin than the token lives.
		eventually(t, "a push that begins with a token in force", func() bool {
			bearer = []string{"Authorization", "Bearer " + c.token(t, "alice", "repository:team/app:pull,push")}
			a := c.do(t, http.MethodPost, "/v2/team/app/blobs/uploads/", nil, bearer...)
			session = a.header.Get("Location")
			return a.status == http.StatusAccepted
		})
		content := randomBytes(1 << 20)
		body, slow := io.Pipe()
		done := make(chan answer, 1)
		go func() {
			a, err := c.try(t.Context(), http.MethodPatch, session, body, bearer...)
			if err != nil {
				t.Error(err)
			}
			done <- a
		}()
		if _, err := slow.Write(content[:1000]); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end of the token", func() bool {
			return c.do(t, http.MethodGet, "/v2/", nil, bearer...).status == http.StatusUnauthorized
		})
		if _, err := slow.Write(content[1000:]); err != nil {
			t.Fatal(err)
		}
		if err := slow.Close(); err != nil {
			t.Fatal(err)
		}
		patched := <-done
		if patched.status != http.StatusAccepted {
			t.Fatalf("the slow request: status %d: %s", patched.status, patched.body)
		}
		session = patched.header.Get("Location")
		finish := session + "?digest=" + digestOf(content)
		a := c.want(t, http.StatusUnauthorized, http.MethodPut, finish, nil, "Authorization", "Bearer "+mallorys)
		if challenge := a.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("the challenge is %s", challenge)
		}
		c.want(t, http.StatusUnauthorized, http.MethodPost, "/v2/team/app/blobs/uploads/", nil, bearer...)
		c.want(t, http.StatusCreated, http.MethodPut, finish, nil, bearer...)
		c.as("alice", "the password of alice").holds(t, "team/app", content)
		c.want(t, http.StatusUnauthorized, http.MethodPut, "/v2/team/app/manifests/v1", bytes.NewReader(manifest(content, 1)), bearer...)
	})
}
