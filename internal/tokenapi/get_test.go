package tokenapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/token"
)

func TestTokenOfAUser(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	a := ok(t, f.get(t, form("service", "moorgate", "scope", "repository:team/app:pull,push"), "alice"))
	want := token.Claims{
		Issuer: `the "test" issuer`, Audience: "moorgate", Who: identity("alice"), ID: "ID",
		Access:   []access.Grant{{Type: "repository", Name: "team/app", Actions: []string{"pull", "push"}}},
		IssuedAt: now.UTC().Truncate(time.Second), Expires: now.UTC().Truncate(time.Second).Add(5 * time.Minute),
	}
	if diff := cmp.Diff(want, a.claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if a.TokenType != "Bearer" || a.ExpiresIn != 300 || a.IssuedAt != "2026-03-04T04:06:07Z" || a.RefreshToken != nil || a.Scope != nil {
		t.Errorf("the answer is %+v", a)
	}
	if f.chained {
		t.Error("the token has a chain")
	}
	ok(t, f.get(t, "service=registry", "alice"))
	if !f.chained {
		t.Error("the token has no chain")
	}
}

// The rules are asked again behind a gate of ours, about the claims that the job came
// with. What others do with a token is not about them.
func TestClaimsOfAJobGoToAGateOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	a := ok(t, f.get(t, "service=moorgate", "job"))
	if diff := cmp.Diff(identity("job"), a.claims.Who); diff != "" {
		t.Error(diff)
	}
	a = ok(t, f.get(t, "service=registry", "job"))
	if a.claims.Who.User != "job" || a.claims.Who.Claims != nil {
		t.Errorf("the token for a registry of others is about %+v", a.claims.Who)
	}
}

func TestTokenOfNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t, access.Rule{Who: []string{"anonymous"}, May: []string{"pull"}, Repos: []string{"public/**"}}))
	f.client.Private = false // there is no secret in it
	query := form("service", "registry", "scope", "repository:public/a:pull,push", "offline_token", "true", "account", "alice")
	a := ok(t, f.get(t, query, ""))
	if got := a.granted(); got != "repository:public/a:pull" || !a.claims.Who.IsAnonymous() || a.RefreshToken != nil {
		t.Errorf("nobody gets %q as %+v, refresh token %v", got, a.claims.Who, a.RefreshToken)
	}
	if a := ok(t, f.get(t, form("service", "registry", "scope", "repository:team/a:pull"), "")); a.granted() != "" {
		t.Errorf("nobody gets %q", a.granted())
	}
	if len(f.asked) > 0 {
		t.Errorf("passwords were asked for: %v", f.asked)
	}
}

// A registry without users gives the same to whoever one claims to be.
func TestTokenWithoutUsers(t *testing.T) {
	t.Parallel()
	f := newFixture(access.Open())
	f.Login.Passwords = nil
	if a := ok(t, f.get(t, "service=moorgate&offline_token=true", "alice")); !a.claims.Who.IsAnonymous() || a.RefreshToken != nil {
		t.Errorf("the answer is %+v", a)
	}
}

func TestTheOnlyServiceNeedsNoName(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	delete(f.Services, "registry")
	for _, query := range []string{"", "service="} {
		if a := ok(t, f.get(t, query, "alice")); a.claims.Audience != "moorgate" {
			t.Errorf("%q gets a token for %q", query, a.claims.Audience)
		}
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"no service of two":     "scope=repository:a:pull",
		"service unknown":       "service=elsewhere",
		"service as a prefix":   "service=registry.example.com",
		"service long":          "service=" + strings.Repeat("a", 256),
		"service twice":         "service=registry&service=moorgate",
		"client_id twice":       "service=registry&client_id=a&client_id=a",
		"client_id long":        "service=registry&client_id=" + strings.Repeat("a", 256),
		"client_id unprintable": "service=registry&client_id=a%0ab",
		"account long":          "service=registry&account=" + strings.Repeat("a", 256),
		"account of another":    "service=registry&account=bob",
		"account in upper case": "service=registry&account=Alice",
		"password":              "service=registry&password=alice%27s+password",
		"password, empty":       "service=registry&password",
		"refresh token":         "service=registry&refresh_token=secret",
		"bad escape":            "service=registry&scope=%zz",
		"semicolon":             "service=registry;scope=a",
		"scope that is none":    "service=registry&scope=everything",
		"query of 17 KiB":       "service=registry&scope=" + strings.Repeat("repository:a:pull%20", 17<<10/19),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.SignedIn())
			b := refused(t, f.get(t, query, "alice"), http.StatusBadRequest, "BAD_REQUEST")
			if b.Error != "" {
				t.Errorf("a GET is told %q", b.Error)
			}
			if len(f.asked) > 0 {
				t.Error("a password was asked for")
			}
		})
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	basic := func(user, password string) string {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	alice := basic("alice", "alice's password")
	for name, tt := range map[string]struct {
		header []string
		status int
		code   string
	}{
		"wrong password":      {[]string{basic("alice", "wrong")}, 401, "UNAUTHORIZED"},
		"unknown user":        {[]string{basic("nobody", "nobody's password")}, 401, "UNAUTHORIZED"},
		"no name":             {[]string{basic("", "")}, 401, "UNAUTHORIZED"},
		"a token":             {[]string{"Bearer abc"}, 401, "UNAUTHORIZED"},
		"nothing":             {[]string{""}, 401, "UNAUTHORIZED"},
		"two":                 {[]string{alice, alice}, 401, "UNAUTHORIZED"},
		"a busy source":       {[]string{basic("busy", "x")}, 429, "TOOMANYREQUESTS"},
		"a source out of use": {[]string{basic("broken", "x")}, 503, "UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.Open())
			f.login["busy"], f.login["broken"] = authn.ErrBusy, errors.New("no answer")
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/token?service=registry&scope=repository:a:pull", http.NoBody)
			r.Header["Authorization"] = tt.header
			refused(t, f.do(r), tt.status, tt.code)
		})
	}
}

func TestOtherMethods(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodConnect, "get"} {
		f := newFixture(access.Open())
		w := f.do(httptest.NewRequestWithContext(t.Context(), method, "/token?service=registry", strings.NewReader("body")))
		refused(t, w, http.StatusMethodNotAllowed, "UNSUPPORTED")
		if got := w.Header().Get("Allow"); got != "GET, POST" {
			t.Errorf("%s: Allow is %q", method, got)
		}
		if got := w.Header().Get("Connection"); got != "close" {
			t.Errorf("%s: Connection is %q", method, got)
		}
	}
}

// Neither a password nor a token that says who somebody is goes over a
// connection that others can read.
func TestReadableConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(access.Open())
	f.refresh.tokens["r"] = "alice for registry"
	f.client.Private = false
	refused(t, f.get(t, "service=registry", "alice"), http.StatusForbidden, "DENIED")
	b := refused(t, f.post(t, form("grant_type", "password", "username", "alice", "password", "alice's password", "service", "registry")), http.StatusForbidden, "DENIED")
	if b.Error != "access_denied" {
		t.Errorf("a POST is told %q", b.Error)
	}
	refused(t, f.post(t, form("grant_type", "refresh_token", "refresh_token", "r", "service", "registry")), http.StatusForbidden, "DENIED")
	if len(f.asked) > 0 || f.refresh.asked > 0 {
		t.Error("a password or a refresh token was looked at")
	}
}

func TestRefreshTokensForThoseWhoAsk(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		query string
		setup func(*fixture)
		want  bool
	}{
		"asked":             {query: "offline_token=true", want: true},
		"not asked":         {query: "client_id=docker"},
		"declined":          {query: "offline_token=false"},
		"none are given":    {query: "offline_token=true", setup: func(f *fixture) { f.Refresh = nil }},
		"not for this user": {query: "offline_token=true", setup: func(f *fixture) { f.refresh.err = fmt.Errorf("look up: %w", authn.ErrCannotTell) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.SignedIn())
			if tt.setup != nil {
				tt.setup(f)
			}
			a := ok(t, f.get(t, "service=registry&client_id=docker&"+strings.TrimPrefix(tt.query, "client_id=docker"), "alice"))
			if got := a.RefreshToken != nil; got != tt.want {
				t.Fatalf("a refresh token: %v", got)
			}
			if tt.want && (*a.RefreshToken != "refresh-1" || f.refresh.tokens["refresh-1"] != "alice for registry" || f.refresh.client != "docker") {
				t.Errorf("%q, of %+v", *a.RefreshToken, f.refresh)
			}
		})
	}
}

// A refresh token is bound to the password of the moment: whoever came with the
// one before gets none.
func TestPasswordChangedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	f.Refresh = meddler{f, func() { f.login["alice"] = authn.ErrWrongPassword }}
	refused(t, f.get(t, "service=registry&offline_token=true", "alice"), http.StatusUnauthorized, "UNAUTHORIZED")
	delete(f.login, "alice")
	b := refused(t, f.post(t, form("grant_type", "password", "access_type", "offline", "username", "alice", "password", "alice's password", "service", "registry")), http.StatusUnauthorized, "UNAUTHORIZED")
	if b.Error != "invalid_grant" {
		t.Errorf("a POST is told %q", b.Error)
	}
}

// meddler does something while a refresh token is issued.
type meddler struct {
	f      *fixture
	during func()
}

func (m meddler) Issue(ctx context.Context, who access.Identity, service, client string) (string, error) {
	m.during()
	return m.f.refresh.Issue(ctx, who, service, client)
}

func (m meddler) Redeem(ctx context.Context, token, service string) (access.Identity, error) {
	return m.f.refresh.Redeem(ctx, token, service)
}

func TestFaultsOfOurs(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	f.refresh.err = errors.New("secret of the disk")
	refused(t, f.get(t, "service=registry&offline_token=true", "alice"), http.StatusServiceUnavailable, "UNAVAILABLE")
	f.signErr = errors.New("secret of the key")
	w := f.get(t, "service=registry", "alice")
	refused(t, w, http.StatusInternalServerError, "UNKNOWN")
	if log := f.log.String(); !strings.Contains(log, "of the disk") || !strings.Contains(log, "of the key") || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the log has %s, the client %s", log, w.Body)
	}
}

func TestDecisionsAreRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t, access.Rule{Who: []string{"user:alice"}, May: []string{"pull"}, Repos: []string{"team/**"}, Because: "they are hers"}))
	ok(t, f.get(t, form("service", "registry", "scope", "repository:team/app:pull,push"), "alice"))
	if len(f.records) != 2 {
		t.Fatalf("records: %+v", f.records)
	}
	for i, want := range []struct {
		outcome audit.Outcome
		scope   access.Scope
		rule    string
	}{
		{audit.Allowed, access.Scope{Action: access.Pull, Repo: "team/app", Tag: access.EveryTag}, "they are hers"},
		{audit.Denied, access.Scope{Action: access.Push, Repo: "team/app", Tag: access.EveryTag}, "no rule allows it"},
	} {
		r := f.records[i]
		if r.Outcome != want.outcome || r.Scope != want.scope || !strings.Contains(r.Rule, want.rule) ||
			r.Operation != "token" || r.Who.User != "alice" || r.RequestID != "REQUEST-ID" || r.Client != f.client.Addr {
			t.Errorf("record %d is %+v", i, r)
		}
	}
}

// The conditions of rules see the request as they do in the gate.
func TestCircumstances(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t, access.Rule{
		Who: []string{"*"}, May: []string{"pull"}, Repos: []string{"**"},
		When: `request.tls && request.agent == "docker/29" && cidr("192.0.2.0/24").containsIP(request.client) && request.time == timestamp("2026-03-04T04:06:07.000000890Z")`,
	}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/token?service=registry&scope=repository:a:pull", http.NoBody)
	r.Header.Set("User-Agent", "docker/29")
	if got := ok(t, f.do(r)).granted(); got != "repository:a:pull" {
		t.Errorf("granted: %q", got)
	}
	r.Header.Set("User-Agent", "docker/28")
	if got := ok(t, f.do(r)).granted(); got != "" {
		t.Errorf("granted to another agent: %q", got)
	}
}

// notes is a response writer that takes notes for a log.
type notes struct {
	*httptest.ResponseRecorder
	list []string
}

func (n *notes) Annotate(key, value string) { n.list = append(n.list, key+"="+value) }

func TestTheAccessLogNamesWhoGotAToken(t *testing.T) {
	t.Parallel()
	for user, want := range map[string][]string{"alice": {"user=alice"}, "": nil} {
		f := newFixture(access.SignedIn())
		n := &notes{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/token?service=registry", http.NoBody)
		if user != "" {
			r.SetBasicAuth(user, user+"'s password")
		}
		f.ServeHTTP(n, r.WithContext(reqctx.WithClient(r.Context(), f.client)))
		if diff := cmp.Diff(want, n.list); diff != "" {
			t.Errorf("%q: status %d %s", user, n.Code, diff)
		}
	}
}

func (m meddler) End(ctx context.Context, token string) (refresh.Entry, bool, error) {
	return m.f.refresh.End(ctx, token)
}
