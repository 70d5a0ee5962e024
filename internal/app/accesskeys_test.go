package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/authn/ldaptest"
	"github.com/moorgate/moorgate/internal/authn/oidctest"
	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/testserver"
)

// keyRules are rules for people and robots.
const keyRules = `
access:
  rules:
    - {who: user:alice, may: [pull, push, delete], repos: "team/**"}
    - {who: user:bob, may: [pull, push], repos: ["secret/**", "team/**"]}
    - {who: "*", deny: overwrite, repos: "team/**", tags: "v*", because: releases are final}
    - {who: "user:*", may: pull, repos: "public/**"}
`

// keyring makes keys on a server, as "moorgate key" does.
type keyring struct {
	*control.Client
	t *testing.T
	s *testserver.Server
	c *client
}

func keysOf(t *testing.T, s *testserver.Server) keyring {
	t.Helper()
	return keyring{control.Dial(s.DataDir), t, s, newClient(t, s, nil)}
}

func (k keyring) make(r keys.Request) keys.Made {
	k.t.Helper()
	r.Life = time.Hour
	made, err := k.CreateAccessKey(k.t.Context(), r)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() {
		if strings.Contains(k.s.Log(), made.Secret[20:60]) {
			k.t.Errorf("the secret of %s is in the log", made.Name)
		}
	})
	return made
}

// robot returns a client with a new key of its own.
func (k keyring) robot(name string, may ...string) (*client, keys.Made) {
	k.t.Helper()
	made := k.make(keys.Request{Name: name, May: may})
	return k.c.as(name, made.Secret), made
}

// personal returns a client with a new key of a user.
func (k keyring) personal(user, name string, may ...string) (*client, keys.Made) {
	k.t.Helper()
	made := k.make(keys.Request{Name: name, User: user, May: may})
	return k.c.as(user, made.Secret), made
}

func (k keyring) revoke(id string) {
	k.t.Helper()
	if _, err := k.RevokeAccessKey(k.t.Context(), keys.Ref{Key: id}); err != nil {
		k.t.Fatal(err)
	}
}

// put pushes an image and returns its manifest.
func (c *client) put(t *testing.T, repo, tag string) []byte {
	t.Helper()
	content := randomBytes(100)
	c.push(t, repo, content)
	m := manifest(content, 1)
	c.want(t, http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, bytes.NewReader(m), "Content-Type", manifestType)
	return m
}

func (c *client) wants(t *testing.T, status int, method, path string) answer {
	t.Helper()
	return c.want(t, status, method, path, nil)
}

// trade gets a token for a scope with the client's key.
func (c *client) trade(t *testing.T, scope string) []string {
	t.Helper()
	a := c.wants(t, http.StatusOK, http.MethodGet, "/token?service=moorgate&offline_token=true&client_id=docker&scope="+scope)
	var reply struct {
		Token   string
		Refresh *string `json:"refresh_token"`
	}
	if err := json.Unmarshal(a.body, &reply); err != nil || reply.Token == "" {
		t.Fatalf("no token: %v: %s", err, a.body)
	}
	if reply.Refresh != nil {
		t.Errorf("a refresh token was made from a key: %s", a.body)
	}
	return []string{"Authorization", "Bearer " + reply.Token}
}

// TestKeysAtBothGates is the life of keys at a registry, and at a gateway.
func TestKeysAtBothGates(t *testing.T) {
	t.Parallel()
	bothGates(t, keyRules, func(t *testing.T, s *testserver.Server) {
		k := keysOf(t, s)
		ci, ciKey := k.robot("ci", "push,pull:team/app", "pull:vault/*")
		k.c.as("bob", "the password of bob").put(t, "secret/x", "v1")
		k.c.as("alice", "the password of alice").put(t, "team/web", "v1")

		// A robot may what it was made for, and no more; rules deny it too.
		m := ci.put(t, "team/app", "v1")
		ci.wants(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1")
		for path, status := range map[string]int{
			"/v2/team/web/manifests/v1": http.StatusNotFound, "/v2/secret/x/manifests/v1": http.StatusNotFound,
		} {
			ci.wants(t, status, http.MethodGet, path)
		}
		ci.wants(t, http.StatusForbidden, http.MethodDelete, "/v2/team/app/manifests/"+digestOf(m))
		ci.push(t, "team/app", []byte("x"))
		moved := ci.want(t, http.StatusForbidden, http.MethodPut, "/v2/team/app/manifests/v1", bytes.NewReader(manifest([]byte("x"), 2)), "Content-Type", manifestType)
		if !strings.Contains(string(moved.body), "releases are final") {
			t.Errorf("the refusal of a rule is %s", moved.body)
		}

		// The list of repositories has what the key may see.
		if got := string(ci.wants(t, http.StatusOK, http.MethodGet, "/v2/_catalog").body); !strings.Contains(got, `["team/app"]`) {
			t.Errorf("a robot sees %s", got)
		}
		phone, phoneKey := k.personal("alice", "phone", "pull:team/web")
		if got := string(phone.wants(t, http.StatusOK, http.MethodGet, "/v2/_catalog").body); !strings.Contains(got, `["team/web"]`) {
			t.Errorf("a key of alice sees %s", got)
		}
		laptop, _ := k.personal("alice", "laptop")
		if got := string(laptop.wants(t, http.StatusOK, http.MethodGet, "/v2/_catalog").body); !strings.Contains(got, `["team/app","team/web"]`) {
			t.Errorf("another key of alice sees %s", got)
		}

		// A key that may pull cannot push, and never more than its owner.
		refused := phone.want(t, http.StatusForbidden, http.MethodPost, "/v2/team/web/blobs/uploads/", nil)
		if !strings.Contains(string(refused.body), "the key phone does not allow it") {
			t.Errorf("the refusal of a key is %s", refused.body)
		}
		phone.wants(t, http.StatusNotFound, http.MethodGet, "/v2/team/app/manifests/v1")
		laptop.wants(t, http.StatusNotFound, http.MethodGet, "/v2/secret/x/manifests/v1")
		laptop.put(t, "team/tool", "v1")

		k.revoke(phoneKey.ID)
		phone.wants(t, http.StatusUnauthorized, http.MethodGet, "/v2/")
		k.revoke(ciKey.ID)
		ci.wants(t, http.StatusUnauthorized, http.MethodGet, "/v2/")
		laptop.wants(t, http.StatusOK, http.MethodGet, "/v2/")
		logged(t, s, "outcome=login-failed", "user=ci", "there is no key "+ciKey.ID)
	})
}

// TestMountByKey: a mount from what the key may not read is an ordinary upload.
func TestMountByKey(t *testing.T) {
	t.Parallel()
	bothGates(t, keyRules, func(t *testing.T, s *testserver.Server) {
		k := keysOf(t, s)
		content := randomBytes(1000)
		bob := k.c.as("bob", "the password of bob")
		bob.push(t, "secret/x", content)
		may, _ := k.personal("bob", "both", "push,pull:team/**", "pull:secret/**")
		mayNot, _ := k.personal("bob", "one", "push,pull:team/**")
		robot, _ := k.robot("ci", "push,pull:team/**")
		mount := "/v2/team/app/blobs/uploads/?from=secret/x&mount=" + digestOf(content)
		mayNot.wants(t, http.StatusAccepted, http.MethodPost, mount)
		robot.wants(t, http.StatusAccepted, http.MethodPost, mount)
		may.wants(t, http.StatusCreated, http.MethodPost, mount)
	})
}

// TestKeysAsTokens takes keys as Bearer, and tokens that were made from them: they end
// with the key, whatever they say of themselves.
func TestKeysAsTokens(t *testing.T) {
	t.Parallel()
	bothGates(t, "token: {challenge: bearer}\n"+keyRules, func(t *testing.T, s *testserver.Server) {
		k := keysOf(t, s)
		ci, ciKey := k.robot("ci", "push,pull:team/app")
		web, webKey := k.personal("alice", "web", "pull:team/web")
		ci.put(t, "team/app", "v1")
		k.c.as("alice", "the password of alice").put(t, "team/web", "v1")

		get := func(status int, path string, bearer ...string) {
			t.Helper()
			k.c.want(t, status, http.MethodGet, path, nil, bearer...)
		}
		get(http.StatusOK, "/v2/team/app/manifests/v1", "Authorization", "Bearer "+ciKey.Secret)
		get(http.StatusUnauthorized, "/v2/team/app/manifests/v1", "Authorization", "Bearer "+ciKey.Secret+"a")
		get(http.StatusNotFound, "/v2/team/web/manifests/v1", "Authorization", "Bearer "+ciKey.Secret)

		// The token grants no more than the key.
		app := ci.trade(t, "repository:team/app:pull,push")
		wide := web.trade(t, "repository:team/web:pull,push&scope=repository:team/app:pull")
		get(http.StatusOK, "/v2/team/app/manifests/v1", app...)
		get(http.StatusOK, "/v2/team/web/manifests/v1", wide...)
		get(http.StatusNotFound, "/v2/team/app/manifests/v1", wide...)
		k.c.want(t, http.StatusForbidden, http.MethodPost, "/v2/team/web/blobs/uploads/", nil, wide...)

		// And not for longer. An upload that was begun before ends too.
		session := k.c.want(t, http.StatusAccepted, http.MethodPost, "/v2/team/app/blobs/uploads/", nil, app...).header.Get("Location")
		k.revoke(ciKey.ID)
		get(http.StatusUnauthorized, "/v2/team/app/manifests/v1", app...)
		k.c.want(t, http.StatusUnauthorized, http.MethodPatch, session, strings.NewReader("x"), app...)
		get(http.StatusOK, "/v2/team/web/manifests/v1", wide...)
		k.revoke(webKey.ID)
		get(http.StatusUnauthorized, "/v2/team/web/manifests/v1", wide...)
		logged(t, s, "outcome=login-failed", `the key \"`+ciKey.ID+`\" that it was made from is gone`)

		// The name is free again, and what was made from the old key stays dead.
		again, _ := k.robot("ci", "push,pull:**")
		get(http.StatusUnauthorized, "/v2/team/app/manifests/v1", app...)
		again.wants(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1")
	})
}

// TestKeyEndsWithItsOwner: so does an upload that was begun with it.
func TestKeyEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	users, trail := passwordFile(t, "alice", "bob"), filepath.Join(t.TempDir(), "audit.log")
	s := start(t, keyRules+"token: {challenge: bearer}\naudit: {file: {path: "+trail+"}}\n", "--htpasswd", users)
	k := keysOf(t, s)
	laptop, made := k.personal("alice", "laptop")
	other, _ := k.personal("bob", "laptop")
	token := laptop.trade(t, "repository:team/app:pull,push")
	session := laptop.session(t, "team/app")
	laptop.wants(t, http.StatusOK, http.MethodGet, "/v2/")
	if _, err := htpasswd.Remove(users, "alice"); err != nil {
		t.Fatal(err)
	}
	laptop.soon(t, http.StatusUnauthorized)
	laptop.want(t, http.StatusUnauthorized, http.MethodPut, session+"?digest="+digestOf([]byte("x")), strings.NewReader("x"))
	k.c.want(t, http.StatusUnauthorized, http.MethodPut, session+"?digest="+digestOf([]byte("x")), strings.NewReader("x"), token...)
	other.wants(t, http.StatusOK, http.MethodGet, "/v2/")
	logged(t, s, "outcome=login-failed", "the owner of key "+made.ID, "is gone from htpasswd")

	// Another alice has no keys, and the key stays dead, also by what was made from it.
	hash, err := htpasswd.Hash("another", 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := htpasswd.Set(users, "alice", hash); err != nil {
		t.Fatal(err)
	}
	k.c.as("alice", "another").soon(t, http.StatusOK)
	laptop.wants(t, http.StatusUnauthorized, http.MethodGet, "/v2/")
	k.c.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil, token...)
	logged(t, s, "level=WARN", "a key has ended for good", "key="+made.ID)
	eventually(t, "a record of the end", func() bool {
		return strings.Contains(readFile(t, trail), `"outcome":"done","operation":"access-key-end","user":"alice","source":"htpasswd","detail":"key `+made.ID)
	})
}

// TestKeyHasThePresentGroups: who loses a group in the directory loses its rights by
// key too, and a directory that is away is no reason to let anybody in, or to end a key.
func TestKeyHasThePresentGroups(t *testing.T) {
	t.Parallel()
	directory := ldaptest.Start(t)
	bob := directory.AddPerson(t, ldaptest.People, "bob", "directory word 1")
	directory.AddGroup(t, "developers", bob)
	s := start(t, fmt.Sprintf(`
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
access:
  rules:
    - {who: group:developers, may: [pull, push], repos: "team/**"}
`, directory.TLSURL, directory.CA, ldaptest.Searcher, directory.PasswordFile, ldaptest.People, ldaptest.Groups))
	k := keysOf(t, s)
	laptop, made := k.personal("bob", "laptop")
	robot, _ := k.robot("ci", "pull,push:team/**")
	laptop.put(t, "team/app", "v1")
	directory.Delete(t, "cn=developers,"+ldaptest.Groups)
	laptop.wants(t, http.StatusOK, http.MethodGet, "/v2/")
	laptop.wants(t, http.StatusNotFound, http.MethodGet, "/v2/team/app/manifests/v1")
	directory.Stop()
	if got := laptop.do(t, http.MethodGet, "/v2/", nil); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("without the directory a key gets %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	robot.wants(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1")
	directory.Restart(t)
	laptop.soon(t, http.StatusOK)

	// Neither somebody who is locked nor a namesake signs in with the key.
	token := laptop.trade(t, "repository:team/app:pull")
	session := k.c.as("bob", k.c.startSession(t, http.StatusOK, "grant_type", "password", "username", "bob", "password", made.Secret).Token)
	refused := func(what string) {
		t.Helper()
		for how, got := range map[string]answer{
			"key":     laptop.do(t, http.MethodGet, "/v2/", nil),
			"token":   k.c.do(t, http.MethodGet, "/v2/", nil, token...),
			"session": session.do(t, http.MethodGet, "/v2/", nil),
		} {
			if got.status != http.StatusUnauthorized {
				t.Errorf("%s: the %s gets %d", what, how, got.status)
			}
		}
	}
	directory.Replace(t, bob, "userAccountControl", "514")
	refused("locked")
	directory.Replace(t, bob, "userAccountControl", "512")
	laptop.wants(t, http.StatusOK, http.MethodGet, "/v2/")
	directory.Delete(t, bob)
	directory.AddPerson(t, ldaptest.People, "bob", "of another bob")
	refused("of a namesake")
	logged(t, s, "level=WARN", "a key has ended for good", "another has the name now")
	directory.Delete(t, bob)
	refused("of nobody")
}

// TestKeysAtATokenServer: what registries of others get is what the key may.
func TestKeysAtATokenServer(t *testing.T) {
	t.Parallel()
	users := passwordFile(t, "alice")
	s := testserver.StartAs(t, "token", withConfig(t, "token: {services: [{name: theirs}]}\n"+keyRules, []string{"--htpasswd", users})...)
	k := keysOf(t, s)
	robot, made := k.robot("ci", "pull:team/app")
	scope := "/token?service=theirs&scope=repository:team/app:pull,push"
	claims := func(c *client) string {
		t.Helper()
		a := c.wants(t, http.StatusOK, http.MethodGet, scope)
		var reply struct{ Token string }
		if err := json.Unmarshal(a.body, &reply); err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(reply.Token, ".")
		body, _, _ := strings.Cut(rest, ".")
		payload, err := base64.RawURLEncoding.DecodeString(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(payload)
	}
	if got := claims(robot); !strings.Contains(got, `"actions":["pull"]`) || !strings.Contains(got, `"key":"`+made.ID+`"`) || strings.Contains(got, `"push"`) {
		t.Errorf("the token of a robot says %s", got)
	}
	alice, _ := k.personal("alice", "laptop", "pull:team/**")
	if got := claims(alice); !strings.Contains(got, `"actions":["pull"]`) || strings.Contains(got, `"push"`) {
		t.Errorf("the token of a key of alice says %s", got)
	}
	k.revoke(made.ID)
	robot.wants(t, http.StatusUnauthorized, http.MethodGet, scope)
	list, err := k.AccessKeys(t.Context(), "")
	if err != nil || len(list) != 1 || list[0].Used.IsZero() {
		t.Errorf("the list is %+v, %v", list, err)
	}
}

// TestPersonalKeyMakesNoRefreshToken asks in the other way that the protocol has, too.
func TestPersonalKeyMakesNoRefreshToken(t *testing.T) {
	t.Parallel()
	s := start(t, keyRules, "--htpasswd", passwordFile(t, "alice"))
	k := keysOf(t, s)
	_, made := k.personal("alice", "laptop", "pull:public/**")
	form := "grant_type=password&access_type=offline&service=moorgate&client_id=x&username=alice&password="
	ask := func(password string) string {
		t.Helper()
		return string(k.c.want(t, http.StatusOK, http.MethodPost, "/token", strings.NewReader(form+password), "Content-Type", "application/x-www-form-urlencoded").body)
	}
	if got := ask(made.Secret); strings.Contains(got, "refresh_token") {
		t.Errorf("with the key: %s", got)
	}
	if got := ask("the+password+of+alice"); !strings.Contains(got, "refresh_token") {
		t.Errorf("with the password, to compare: %s", got)
	}
}

// TestKeysStayHere: an upstream that gets the credentials of clients gets no keys.
func TestKeysStayHere(t *testing.T) {
	t.Parallel()
	var seen atomic.Value
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", digestOf([]byte("{}")))
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(upstream.Close)
	s := gateway(t, withConfig(t, "upstreams: [{url: '"+upstream.URL+"', pass_credentials: true}]\ntoken: {challenge: basic}\n",
		[]string{"--htpasswd", passwordFile(t, "alice")})...)
	k := keysOf(t, s)
	robot, _ := k.robot("ci", "pull:**")
	laptop, made := k.personal("alice", "laptop")
	for _, c := range []*client{k.c.as("alice", "the password of alice"), robot, laptop} {
		c.wants(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1")
		if got := seen.Load().(string); (got != "") != (c.password == "the password of alice") {
			t.Errorf("%s: the upstream got %q", c.user, got)
		}
	}
	k.c.want(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1", nil, "Authorization", "Bearer "+made.Secret)
	if got := seen.Load().(string); got != "" {
		t.Errorf("a key as a token: the upstream got %q", got)
	}
	// Nor does it get sessions: whoever has one is let in here.
	session := k.c.startSession(t, http.StatusOK, "grant_type", "password", "username", "alice", "password", "the password of alice").Token
	for name, headers := range map[string][]string{"as a token": {"Authorization", "Bearer " + session}, "as a password": nil} {
		k.c.as("alice", session).want(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1", nil, headers...)
		if got := seen.Load().(string); got != "" {
			t.Errorf("a session %s: the upstream got %q", name, got)
		}
	}
}

// TestTokensStayHere: an upstream that gets the credentials of clients gets no token that
// lets its holder in at the gate, in whichever way it comes.
func TestTokensStayHere(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", digestOf([]byte("{}")))
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(upstream.Close)
	p := oidctest.Start(t)
	s := gateway(t, withConfig(t, machines(t, p)+"upstreams: [{url: '"+upstream.URL+"', pass_credentials: true}]\ntoken: {challenge: basic}\n", nil)...)
	anybody := newClient(t, s, nil)
	alice, machine := anybody.as("alice", "file word 3"), p.Token(t, job("main"))
	ours := func(c *client) []string {
		var answer struct{ Token string }
		got := c.want(t, http.StatusOK, http.MethodGet, "/token?service=moorgate&scope=repository:acme/app:pull", nil)
		if err := json.Unmarshal(got.body, &answer); err != nil || answer.Token == "" {
			t.Fatalf("%v, %s", err, got.body)
		}
		return []string{"Authorization", "Bearer " + answer.Token}
	}
	for name, tt := range map[string]struct {
		c       *client
		headers []string
		passed  bool
	}{
		"a password, to compare":          {alice, nil, true},
		"a token of ours":                 {anybody, ours(alice), false},
		"a token of ours for a machine":   {anybody, ours(anybody.as("oidc", machine)), false},
		"the token of a machine":          {anybody, []string{"Authorization", "Bearer " + machine}, false},
		"that in another case":            {anybody, []string{"Authorization", "bearer  " + machine}, false},
		"the token of one, as a password": {anybody.as("oidc", machine), nil, false},
	} {
		tt.c.want(t, http.StatusOK, http.MethodGet, "/v2/acme/app/manifests/v1", nil, tt.headers...)
		if got := <-seen; (got != "") != tt.passed {
			t.Errorf("%s: the upstream got %q", name, got)
		}
	}
}

// TestTokensOfOthersGoOn: that of a token server which the registry behind trusts too is
// what it wants to see.
func TestTokensOfOthersGoOn(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", digestOf([]byte("{}")))
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(upstream.Close)
	issuer := start(t, "login: [{htpasswd: {file: "+usersFile(t, "file word 3")+"}}]\ntoken: {issuer: issuer.example, service: shared}\n")
	keys := write(t, filepath.Join(t.TempDir(), "keys.json"), string(newClient(t, issuer, nil).want(t, http.StatusOK, http.MethodGet, "/.well-known/jwks.json", nil).body))
	s := gateway(t, withConfig(t, "upstreams: [{url: '"+upstream.URL+"', pass_credentials: true}]\n"+
		"token: {accept: [{issuer: issuer.example, service: shared, keys_file: "+keys+"}]}\n", nil)...)
	var answer struct{ Token string }
	got := newClient(t, issuer, nil).as("alice", "file word 3").want(t, http.StatusOK, http.MethodGet, "/token?service=shared&scope=repository:team/app:pull", nil)
	if err := json.Unmarshal(got.body, &answer); err != nil {
		t.Fatal(err)
	}
	newClient(t, s, nil).want(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1", nil, "Authorization", "Bearer "+answer.Token)
	if got := <-seen; got != "Bearer "+answer.Token {
		t.Errorf("the upstream got %q", got)
	}
}

// TestKeysOutliveACrash: what was made is there, what was revoked is not.
func TestKeysOutliveACrash(t *testing.T) {
	t.Parallel()
	users, data := passwordFile(t, "alice"), filepath.Join(t.TempDir(), "d")
	s := testserver.Start(t, "--htpasswd", users, "--data", data)
	k := keysOf(t, s)
	kept, _ := k.robot("kept", "pull:**")
	gone, made := k.robot("gone", "pull:**")
	k.revoke(made.ID)
	rotated, err := k.RotateAccessKey(t.Context(), keys.Ref{Key: "kept"}, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Kill()
	again := testserver.Start(t, "--htpasswd", users, "--data", data)
	c := newClient(t, again, nil)
	c.as("kept", kept.password).wants(t, http.StatusOK, http.MethodGet, "/v2/")
	c.as("kept", rotated.Secret).wants(t, http.StatusOK, http.MethodGet, "/v2/")
	c.as("gone", gone.password).wants(t, http.StatusUnauthorized, http.MethodGet, "/v2/")
	for _, file := range []string{"registry.db", "registry.db-wal"} {
		content, err := os.ReadFile(filepath.Join(data, file))
		if err == nil && (bytes.Contains(content, []byte(rotated.Secret[20:60])) || bytes.Contains(content, []byte(kept.password[20:60]))) {
			t.Errorf("a secret is in %s", file)
		}
	}
}
