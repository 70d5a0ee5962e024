package gate_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

// house is the policy of TestWhoMayDoWhat: repository "a" has a reader, a writer,
// an owner; "public" is for everybody to read.
func house(t *testing.T) *access.Policy {
	t.Helper()
	policy, mistakes := access.Compile(access.Rules{Rules: []access.Rule{
		{Who: []string{"*"}, May: []string{"pull"}, Repos: []string{"public"}},
		{Who: []string{"user:reader"}, May: []string{"pull"}, Repos: []string{"a"}},
		{Who: []string{"user:writer"}, May: []string{"pull", "push"}, Repos: []string{"a"}},
		{Who: []string{"user:owner"}, May: []string{"pull", "push", "delete"}, Repos: []string{"a"}},
		{Who: []string{"user:admin"}, May: []string{"*"}, Repos: []string{"**"}},
	}})
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return policy
}

// tokens is the token source of the tests: a token is a name and what it grants,
// such as "reader repository:a:pull".
type tokens struct{}

func (tokens) VerifyToken(_ context.Context, text string) (authn.Token, error) {
	user, scope, _ := strings.Cut(text, " ")
	if user == "stranger" {
		return authn.Token{}, errors.Join(errors.New("signed by a stranger"), authn.ErrNoMatch)
	}
	if user == "broken" {
		return authn.Token{}, errors.New("the keys cannot be had")
	}
	token := authn.Token{Ceiling: access.NoRights(), Expires: now.Add(time.Minute)}
	expired := strings.HasPrefix(user, "expired-")
	if expired {
		token.Expires = now.Add(-time.Minute)
	}
	if user = strings.TrimPrefix(user, "expired-"); user != "nobody" {
		token.Who = access.Identity{User: user, Source: "test"}
	}
	if scope != "" {
		grants, err := access.ParseGrants(scope)
		if err != nil {
			return authn.Token{}, err
		}
		token.Ceiling = grants
	}
	if expired {
		return token, authn.ErrExpired
	}
	return token, nil
}

// SessionStart is gate.Sessions: writer has the one session of the tests, "x" in
// "a", and started it two minutes ago.
func (tokens) SessionStart(_ context.Context, repo, id, owner string) (time.Time, error) {
	if repo != "a" || id != "x" || owner != "test:writer" {
		return time.Time{}, oci.ErrBlobUploadUnknown
	}
	return now.Add(-2 * time.Minute), nil
}

// TestWhoMayDoWhat is the table of a registry with rules, for every kind of
// request and everybody who may come: by token, which a Bearer challenge sends
// them for, and by password. A new kind of request fails it until it has a row.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	const all = "repository:a:*"
	callers := []who{
		{"anonymous", nil},
		{"wrong password", []string{basic("reader", "no")}},
		{"reader by password", []string{basic("reader", "pw")}},
		{"writer by password", []string{basic("writer", "pw")}},
		{"owner by password", []string{basic("owner", "pw")}},
		{"admin by password", []string{basic("admin", "pw")}},
		{"nobody by token", []string{"Bearer nobody " + all}},
		{"reader by token", []string{"Bearer reader " + all}},
		{"writer by token", []string{"Bearer writer " + all}},
		{"owner by token", []string{"bearer owner " + all}},
		{"admin by token", []string{"Bearer admin " + all + " registry:catalog:*"}},
		{"admin by token for pulling", []string{"Bearer admin repository:a:pull"}},
		{"admin by token for another repository", []string{"Bearer admin repository:b:* repository:aa:* repository:a/a:*"}},
		{"expired token of writer", []string{"Bearer expired-writer " + all}},
		{"expired token of owner", []string{"Bearer expired-owner " + all}},
		{"token of a stranger", []string{"Bearer stranger " + all}},
		{"token that cannot be verified", []string{"Bearer broken"}},
		{"token beside a password", []string{"Bearer admin " + all, basic("admin", "pw")}},
	}
	// A row is a request, the scope of its challenge, and a status for each of the
	// callers, in their order.
	type row struct {
		line, scope string
		want        []int
	}
	read := []int{401, 401, 200, 200, 200, 200, 401, 200, 200, 200, 200, 200, 401, 401, 401, 401, 503, 401}
	write := []int{401, 401, 403, 200, 200, 200, 401, 403, 200, 200, 200, 401, 401, 401, 401, 401, 503, 401}
	remove := []int{401, 401, 403, 403, 200, 200, 401, 403, 403, 200, 200, 401, 401, 401, 401, 401, 503, 401}
	session := []int{401, 401, 403, 200, 200, 200, 401, 403, 200, 200, 200, 401, 401, 200, 401, 401, 503, 401}
	ping := []int{401, 401, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 401, 401, 401, 503, 401}
	catalog := []int{200, 401, 200, 200, 200, 200, 401, 401, 401, 401, 200, 401, 401, 401, 401, 401, 503, 401}
	const pull, push, del = "repository:a:pull", "repository:a:pull,push", "repository:a:delete"
	rows := map[route.Kind]row{
		route.Ping:           {"GET /v2/", "", ping},
		route.Catalog:        {"GET /v2/_catalog", "registry:catalog:*", catalog},
		route.BlobRead:       {"GET /v2/a/blobs/" + digest, pull, read},
		route.BlobDelete:     {"DELETE /v2/a/blobs/" + digest, del, remove},
		route.UploadStart:    {"POST /v2/a/blobs/uploads/?mount=" + digest + "&from=b", push + " repository:b:pull", write},
		route.UploadAppend:   {"PATCH /v2/a/blobs/uploads/x", push, session},
		route.UploadFinish:   {"PUT /v2/a/blobs/uploads/x?digest=" + digest, push, session},
		route.UploadStatus:   {"GET /v2/a/blobs/uploads/x", push, session},
		route.UploadCancel:   {"DELETE /v2/a/blobs/uploads/x", push, session},
		route.ManifestRead:   {"GET /v2/a/manifests/v1", pull, read},
		route.ManifestPut:    {"PUT /v2/a/manifests/v1", push, write},
		route.ManifestDelete: {"DELETE /v2/a/manifests/v1", del, remove},
		route.TagList:        {"GET /v2/a/tags/list", pull, read},
		route.Referrers:      {"GET /v2/a/referrers/" + digest, pull, read},
	}
	for kind := range route.Kind(route.Kinds) {
		r, ok := rows[kind]
		if !ok || len(r.want) != len(callers) {
			t.Errorf("%s: this kind of request has no row: who may send it?", kind)
			continue
		}
		for i, w := range callers {
			t.Run(kind.String()+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				knockAsPerson(t, kind, r.line, r.scope, w, r.want[i])
			})
		}
	}
}

func knockAsPerson(t *testing.T, kind route.Kind, line, scope string, w who, want int) {
	t.Helper()
	f := newFixture(house(t))
	f.Tokens, f.Sessions = tokens{}, tokens{}
	f.TokenServer = func(*http.Request) (gate.TokenServer, bool) {
		return gate.TokenServer{Realm: "https://test/token", Service: "test"}, true
	}
	f.passwords = map[string]string{"reader": "pw", "writer": "pw", "owner": "pw", "admin": "pw"}
	resp := f.do(t, line, w.authorization...)
	if resp.Code != want {
		t.Fatalf("status %d, want %d: %s", resp.Code, want, resp.Body)
	}
	if passed := len(f.passed) == 1 && f.passed[0].Request.Kind == kind; passed != (want == 200) {
		t.Errorf("status %d, and the handler was called with %v", want, f.passed)
	}
	challenge := resp.Header().Get("WWW-Authenticate")
	if want != http.StatusUnauthorized {
		if challenge != "" {
			t.Errorf("status %d with the challenge %q", want, challenge)
		}
		return
	}
	expect := `Bearer realm="https://test/token",service="test"`
	if scope != "" {
		expect += `,scope="` + scope + `"`
	}
	if challenge != expect && challenge != expect+whyToken(w) {
		t.Errorf("the challenge is %q, want %q", challenge, expect+whyToken(w))
	}
	if hasError := strings.Contains(challenge, "error="); hasError != (whyToken(w) != "") {
		t.Errorf("the challenge is %q for %s", challenge, w.name)
	}
}

// whyToken is how a challenge words what is wrong with the token of a caller.
func whyToken(w who) string {
	switch {
	case len(w.authorization) != 1 || strings.HasPrefix(w.authorization[0], "Basic"):
		return ""
	case strings.HasPrefix(w.name, "expired"), strings.Contains(w.name, "stranger"):
		return `,error="invalid_token"`
	default:
		return `,error="insufficient_scope"`
	}
}

// What the public may read needs no credentials, and a token that does not speak
// of it does not take the right away from those who ask without.
func TestPublicRepository(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		authorization []string
		want          int
	}{
		"without credentials":    {nil, 200},
		"with an empty token":    {[]string{"Bearer nobody"}, 401},
		"with a token":           {[]string{"Bearer nobody repository:public:pull"}, 200},
		"reader of another":      {[]string{basic("alice", "wonderland")}, 200},
		"with a wrong password":  {[]string{basic("alice", "no")}, 401},
		"with an expired token":  {[]string{"Bearer expired-alice repository:public:pull"}, 401},
		"with a stranger's word": {[]string{"Bearer stranger repository:public:pull"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(house(t))
			f.Tokens = tokens{}
			if got := f.do(t, "GET /v2/public/manifests/v1", c.authorization...).Code; got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
			if got := f.do(t, "PUT /v2/public/manifests/v1", c.authorization...).Code; got == 200 {
				t.Error("may push")
			}
		})
	}
}

// A token goes over the wire as readably as a password.
func TestNoTokenOverAReadableConnection(t *testing.T) {
	t.Parallel()
	f := newFixture(house(t))
	f.Tokens = tokens{}
	f.client.Private = false
	resp := f.do(t, "GET /v2/a/tags/list", "Bearer owner repository:a:*")
	if resp.Code != http.StatusForbidden || resp.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("status %d, challenge %q", resp.Code, resp.Header().Get("WWW-Authenticate"))
	}
}

// An expired token finishes the sessions of its holder that began before its end,
// and no others.
func TestExpiredTokenFinishesItsSessions(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"PATCH /v2/a/blobs/uploads/x":                200,
		"PATCH /v2/a/blobs/uploads/y":                401, // not a session of theirs
		"PATCH /v2/b/blobs/uploads/x":                401, // of another repository
		"POST /v2/a/blobs/uploads/":                  401, // a new one
		"PUT /v2/a/manifests/v1":                     401,
		"GET /v2/a/blobs/" + digest:                  401,
		"POST /v2/a/blobs/uploads/?digest=" + digest: 401,
	} {
		f := newFixture(house(t))
		f.Tokens, f.Sessions = tokens{}, tokens{}
		if got := f.do(t, line, "Bearer expired-writer repository:a:pull,push repository:b:push").Code; got != want {
			t.Errorf("%s: status %d, want %d", line, got, want)
		}
		// What the token did not grant, it does not grant later.
		if got := f.do(t, line, "Bearer expired-writer repository:a:pull").Code; got != 401 {
			t.Errorf("%s with a token for pulling: status %d", line, got)
		}
		f.Sessions = nil
		if got := f.do(t, line, "Bearer expired-writer repository:a:pull,push").Code; got != 401 {
			t.Errorf("%s where sessions are not known: status %d", line, got)
		}
	}
}
