package tokenapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/session"
	"github.com/moorgate/moorgate/internal/token"
	"github.com/moorgate/moorgate/internal/tokenapi"
)

// now is when all requests of these tests come.
var now = time.Date(2026, 3, 4, 5, 6, 7, 890, time.FixedZone("far away", 3600))

// fixture is a token endpoint, and what came of its requests.
type fixture struct {
	tokenapi.API
	client  reqctx.Client    // how the client is connected
	asked   []string         // users whose password was asked for
	login   map[string]error // what the login source answers, by user
	records []audit.Record   // what was audited
	log     bytes.Buffer     // what was logged
	signErr error            // what signing fails with
	chained bool             // the last token has its chain
	refresh refreshTokens
	started sessions
}

// newFixture returns an endpoint with that policy, for a service with a gate of
// ours, "moorgate", and another one, "registry".
func newFixture(policy *access.Policy) *fixture {
	f := &fixture{
		client: reqctx.Client{Addr: netip.MustParseAddr("192.0.2.1"), Private: true, TLS: true},
		login:  map[string]error{},
	}
	record := func(_ context.Context, r audit.Record) { f.records = append(f.records, r) }
	f.refresh = refreshTokens{tokens: map[string]string{}}
	f.API = tokenapi.API{
		Login:  &login.Desk{Passwords: f, Audit: record},
		Policy: func() *access.Policy { return policy },
		Some: func(p *access.Policy, q access.Question) bool {
			q.Scope.Tag = access.SomeTag
			return p.Decide(q).Allowed
		},
		Sign: f.sign, Refresh: &f.refresh, Sessions: &f.started,
		Endless: func(text string) bool {
			return strings.HasPrefix(text, "session of ") || strings.HasPrefix(text, "mgk_")
		},
		Recognizes: func(_, password string) bool { return strings.HasPrefix(password, "session") },
		Issuer:     `the "test" issuer`,
		Services:   map[string]tokenapi.Service{"moorgate": {Gate: true}, "registry": {Chain: true}},
		TTL:        5 * time.Minute, Audit: record,
		Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		Now: func() time.Time { return now }, NewID: func() string { return "ID" },
	}
	return f
}

// VerifyPassword is the login source: the password of X is "X's password".
func (f *fixture) VerifyPassword(_ context.Context, user, password string) (access.Identity, error) {
	f.asked = append(f.asked, user)
	err, special := f.login[user]
	switch {
	case special:
		return access.Identity{}, err
	case user == "nobody":
		return access.Identity{}, authn.ErrNoMatch
	case password == "session of "+user: // which a source of sessions takes
		return identity(user), nil
	case password != user+"'s password":
		return access.Identity{}, authn.ErrWrongPassword
	default:
		return identity(user), nil
	}
}

// identity is who a user is. "job" is known by a token of others, with claims.
func identity(user string) access.Identity {
	if user == "job" {
		return access.Identity{User: user, Source: "ci", Claims: map[string]any{"ref": "main"}}
	}
	return access.Identity{User: user, Groups: []string{"people"}, Source: "test"}
}

// sign writes the claims as they are.
func (f *fixture) sign(c token.Claims, chain bool) (string, error) {
	f.chained = chain
	text, err := json.Marshal(c)
	if err != nil || f.signErr != nil {
		return "", errors.Join(err, f.signErr)
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

// refreshTokens keeps refresh tokens, and whom and for which service they are.
type refreshTokens struct {
	tokens map[string]string
	client string // the last client_id
	asked  int    // how often one was to be redeemed
	err    error
}

func (t *refreshTokens) Issue(_ context.Context, who access.Identity, service, client string) (string, error) {
	text := fmt.Sprintf("refresh-%d", len(t.tokens)+1)
	t.tokens[text], t.client = who.User+" for "+service, client
	return text, t.err
}

func (t *refreshTokens) Redeem(_ context.Context, text, service string) (access.Identity, error) {
	t.asked++
	user, of, _ := strings.Cut(t.tokens[text], " for ")
	if t.err == nil && (user == "" || of != service) {
		return access.Identity{}, refresh.ErrInvalid
	}
	return identity(user), t.err
}

func (t *refreshTokens) End(_ context.Context, text string) (refresh.Entry, bool, error) {
	user, _, ok := strings.Cut(t.tokens[text], " for ")
	delete(t.tokens, text)
	return refresh.Entry{ID: "the ID of " + text, User: user, Source: "test"}, ok, t.err
}

// sessions is a maker of sessions of one hour.
type sessions struct {
	err error
	who access.Identity // of the last one
}

func (s *sessions) Issue(_ context.Context, who access.Identity) (session.Session, error) {
	s.who = who
	return session.Session{Token: "session of " + who.User, Expires: now.UTC().Truncate(time.Second).Add(time.Hour)}, s.err
}

// get sends a GET with that query, signed in as user; "" for nobody.
func (f *fixture) get(t *testing.T, query, user string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/token?"+query, http.NoBody)
	if user != "" {
		r.SetBasicAuth(user, user+"'s password")
	}
	return f.do(r)
}

// post sends a form.
func (f *fixture) post(t *testing.T, form string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.do(r)
}

func (f *fixture) do(r *http.Request) *httptest.ResponseRecorder { return f.doWith(r, f.ServeHTTP) }

func (f *fixture) doWith(r *http.Request, handler http.HandlerFunc) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler(w, r.WithContext(reqctx.WithClient(reqctx.WithID(r.Context(), "REQUEST-ID"), f.client)))
	return w
}

// answer is a good answer.
type answer struct {
	Token        string  `json:"token"`
	AccessToken  string  `json:"access_token"`
	TokenType    string  `json:"token_type"`
	ExpiresIn    int     `json:"expires_in"`
	IssuedAt     string  `json:"issued_at"`
	RefreshToken *string `json:"refresh_token"`
	Scope        *string `json:"scope"`

	claims token.Claims
}

// granted is what the token grants, in the form of scopes.
func (a *answer) granted() string {
	list := []string{}
	for _, g := range a.claims.Access {
		list = append(list, g.String())
	}
	return strings.Join(list, " ")
}

func checkHeaders(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
		"Content-Type": "application/json; charset=utf-8", "Content-Length": fmt.Sprint(w.Body.Len()),
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
}

// ok reads a good answer.
func ok(t *testing.T, w *httptest.ResponseRecorder) *answer {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	checkHeaders(t, w)
	a := &answer{}
	if err := json.Unmarshal(w.Body.Bytes(), a); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	text, err := base64.RawURLEncoding.DecodeString(a.Token)
	if err != nil || a.Token != a.AccessToken {
		t.Fatalf("tokens %q and %q: %v", a.Token, a.AccessToken, err)
	}
	if err := json.Unmarshal(text, &a.claims); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if a.claims.Access == nil {
		t.Error("the access list is null")
	}
	return a
}

// refusal is a bad answer.
type refusal struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Errors      []struct{ Code, Message string }
}

// refused reads a bad answer with that status and error code.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, code string) refusal {
	t.Helper()
	var b refusal
	if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil || len(b.Errors) != 1 {
		t.Fatalf("status %d without one error: %v: %.200s", w.Code, err, w.Body)
	}
	checkHeaders(t, w)
	if w.Code != status || b.Errors[0].Code != code {
		t.Errorf("status %d with %s (%s), not %d with %s", w.Code, b.Errors[0].Code, b.Errors[0].Message, status, code)
	}
	if strings.Contains(w.Body.String(), "token\":") {
		t.Errorf("a refusal has a token: %s", w.Body)
	}
	if got := w.Header().Get("WWW-Authenticate"); (got == `Basic realm="the \"test\" issuer", charset="UTF-8"`) != (status == 401) {
		t.Errorf("status %d with WWW-Authenticate %q", status, got)
	}
	if got := w.Header().Get("Retry-After"); (got != "") != (status == 429 || status == 503) {
		t.Errorf("status %d with Retry-After %q", status, got)
	}
	return b
}

// form encodes pairs of names and values.
func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// compile makes a policy.
func compile(t testing.TB, rules ...access.Rule) *access.Policy {
	t.Helper()
	policy, mistakes := access.Compile(access.Rules{Rules: rules})
	if policy == nil {
		t.Fatal(mistakes)
	}
	return policy
}
