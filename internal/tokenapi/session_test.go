package tokenapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/session"
	"github.com/moorgate/moorgate/internal/token"
	"github.com/moorgate/moorgate/internal/tokenapi"
)

// aSession is a request for a session by a password.
func aSession(more ...string) string {
	return form(append([]string{"grant_type", "password", "service", session.Audience, "username", "alice", "password", "alice's password"}, more...)...)
}

type sessionAnswer struct {
	Token   string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Account string `json:"account"`
	Seconds int    `json:"expires_in"`
}

func readSession(t *testing.T, w *httptest.ResponseRecorder) (a sessionAnswer) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	checkHeaders(t, w)
	return a
}

func TestASessionForAPassword(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	got := readSession(t, f.post(t, aSession()))
	if diff := cmp.Diff(sessionAnswer{Token: "session of alice", Account: "alice", Seconds: 3600}, got); diff != "" {
		t.Error(diff)
	}
	if len(f.records) != 1 || f.records[0].Operation != "session" || f.records[0].Outcome != audit.Done || f.records[0].Who.User != "alice" {
		t.Errorf("recorded: %+v", f.records)
	}
}

func TestASessionForARefreshToken(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	first := readSession(t, f.post(t, aSession("access_type", "offline", "client_id", "docker-credential-moorgate")))
	if f.refresh.tokens[first.Refresh] != "alice for "+session.Audience || f.refresh.client != "docker-credential-moorgate" {
		t.Fatalf("refresh tokens: %v", f.refresh.tokens)
	}
	next := readSession(t, f.post(t, form("grant_type", "refresh_token", "service", session.Audience, "refresh_token", first.Refresh)))
	if next.Token != "session of alice" || next.Refresh != first.Refresh || next.Account != "alice" {
		t.Errorf("the next one: %+v", next)
	}
	// A refresh token is for what it was given for, in both directions.
	refused(t, f.post(t, form("grant_type", "refresh_token", "service", "moorgate", "refresh_token", first.Refresh)), 401, "UNAUTHORIZED")
	f.refresh.tokens["of a registry"] = "alice for moorgate"
	refused(t, f.post(t, form("grant_type", "refresh_token", "service", session.Audience, "refresh_token", "of a registry")), 401, "UNAUTHORIZED")
}

func TestNoSession(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*fixture)
		form   string
		status int
		code   string
		says   string
	}{
		"for a wrong password": {
			nil, form("grant_type", "password", "service", session.Audience, "username", "alice", "password", "x"), 401, "UNAUTHORIZED", "wrong",
		},
		"for a session": {
			nil, form("grant_type", "password", "service", session.Audience, "username", "alice", "password", "session of alice"), 400, "BAD_REQUEST", "not from a token",
		},
		"with a scope": {
			nil, aSession("scope", "repository:a:pull"), 400, "BAD_REQUEST", "no scope",
		},
		"where there are none": {
			func(f *fixture) { f.Sessions = nil }, aSession(), 400, "BAD_REQUEST", "session_ttl",
		},
		"over a connection that others can read": {
			func(f *fixture) { f.client.Private = false }, aSession(), 403, "DENIED", "https",
		},
		"for a token that has ended meanwhile": {
			func(f *fixture) { f.started.err = authn.ErrExpired }, aSession(), 401, "UNAUTHORIZED", "expired",
		},
		"for somebody who is gone": {
			func(f *fixture) { f.started.err = authn.ErrNoMatch }, aSession(), 401, "UNAUTHORIZED", "no such user",
		},
		"when the source fails": {
			func(f *fixture) { f.started.err = fmt.Errorf("%w: timeout", session.ErrUnavailable) }, aSession(), 503, "UNAVAILABLE", "try again",
		},
		"for somebody who does not fit": {
			func(f *fixture) { f.started.err = fmt.Errorf("sign: %w", token.ErrUnfit) }, aSession(), 403, "DENIED", "your groups",
		},
		"when it cannot be signed": {
			func(f *fixture) { f.started.err = errors.New("no key") }, aSession(), 500, "UNKNOWN", "",
		},
		"of an open registry": {
			func(f *fixture) { f.Login.Passwords = nil }, aSession(), 401, "UNAUTHORIZED", "sign in",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(compile(t))
			if tt.change != nil {
				tt.change(f)
			}
			b := refused(t, f.post(t, tt.form), tt.status, tt.code)
			if !strings.Contains(b.Description, tt.says) {
				t.Errorf("it says %q, not %q", b.Description, tt.says)
			}
			for _, r := range f.records {
				if r.Outcome == audit.Done {
					t.Errorf("recorded: %+v", r)
				}
			}
		})
	}
	refused(t, newFixture(compile(t)).get(t, "service="+session.Audience, "alice"), 400, "BAD_REQUEST")
}

// A password that changes while a session is made may be the one that the session is
// bound to; the client has the old one.
func TestNoSessionForAPasswordThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	f.Sessions = changing{f}
	refused(t, f.post(t, aSession()), 401, "UNAUTHORIZED")
}

// A memory of passwords takes one that has changed at its source. What is bound to the
// new one is not given out for it.
func TestNothingThatLastsForARememberedPassword(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	f.Login.Fresh = changed{}
	refused(t, f.post(t, aSession()), 401, "UNAUTHORIZED")
	refused(t, f.get(t, "service=moorgate&offline_token=true", "alice"), 401, "UNAUTHORIZED")
	if a := ok(t, f.get(t, "service=moorgate", "alice")); a.RefreshToken != nil { // it ends soon, and is bound to nothing
		t.Errorf("%+v", a)
	}
}

// changed is a source at which all passwords have changed.
type changed struct{}

func (changed) VerifyPassword(context.Context, string, string) (access.Identity, error) {
	return access.Identity{}, authn.ErrWrongPassword
}

type changing struct{ *fixture }

func (c changing) Issue(ctx context.Context, who access.Identity) (session.Session, error) {
	c.login[who.User] = authn.ErrWrongPassword
	return c.started.Issue(ctx, who)
}

// Where sessions were switched off one from before is no password all the same.
func TestASessionIsNotRenewedWhereThereAreNone(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	f.Sessions = nil
	a := ok(t, f.post(t, form("grant_type", "password", "service", "registry", "username", "alice", "password", "session of alice", "access_type", "offline")))
	if a.RefreshToken != nil || len(f.refresh.tokens) > 0 {
		t.Error("a refresh token for a session")
	}
}

// Who has too many groups is told so, which is no fault of ours.
func TestNoTokenForWhoDoesNotFit(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	f.signErr = fmt.Errorf("sign: %w", token.ErrUnfit)
	if b := refused(t, f.get(t, "service=moorgate", "alice"), 403, "DENIED"); !strings.Contains(b.Errors[0].Message, "your groups") {
		t.Errorf("it says %q", b.Errors[0].Message)
	}
	if !strings.Contains(f.log.String(), "does not fit") {
		t.Errorf("the log says %q", f.log.String())
	}
}

// What a session buys ends soon after it: a registry token, but no refresh token.
func TestASessionIsNotRenewed(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t, access.Rule{Who: []string{"user:alice"}, May: []string{"pull"}, Repos: []string{"**"}}))
	a := ok(t, f.post(t, form("grant_type", "password", "service", "registry", "username", "alice", "password", "session of alice",
		"access_type", "offline", "scope", "repository:a:pull")))
	if a.RefreshToken != nil || a.granted() != "repository:a:pull" {
		t.Errorf("%+v grants %s", a, a.granted())
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/token?service=registry&offline_token=true&scope=repository:a:pull", http.NoBody)
	r.SetBasicAuth("alice", "session of alice")
	if a := ok(t, f.do(r)); a.RefreshToken != nil || a.granted() != "repository:a:pull" {
		t.Errorf("%+v grants %s", a, a.granted())
	}
	if len(f.refresh.tokens) > 0 {
		t.Errorf("refresh tokens %v", f.refresh.tokens)
	}
}

func revoke(t *testing.T, f *fixture, method, form string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/token/revoke", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.doWith(r, f.Revoke)
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	f.refresh.tokens = map[string]string{"mine": "alice for moorgate", "others": "bob for moorgate"}
	if w := revoke(t, f, http.MethodPost, "token=mine&token_type_hint=refresh_token"); w.Code != http.StatusOK || w.Body.Len() > 0 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if diff := cmp.Diff(map[string]string{"others": "bob for moorgate"}, f.refresh.tokens); diff != "" {
		t.Error(diff)
	}
	if len(f.records) != 1 {
		t.Fatalf("%d records: %+v", len(f.records), f.records)
	}
	if r := f.records[0]; r.Outcome != audit.Done || r.Who.User != "alice" || r.Who.Source != "test" || r.Detail != "refresh token the ID of mine" {
		t.Errorf("recorded %+v", r)
	}
	for _, form := range []string{"token=mine", "token=nonsense", "token=" + strings.Repeat("x", 5000)} {
		if w := revoke(t, f, http.MethodPost, form); w.Code != http.StatusOK { // RFC 7009, section 2.2
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	}
	if len(f.records) != 1 {
		t.Errorf("junk is on record: %+v", f.records[1:])
	}
	refused(t, revoke(t, f, http.MethodGet, ""), 405, "UNSUPPORTED")
	refused(t, revoke(t, f, http.MethodPost, ""), 400, "BAD_REQUEST")
	f.refresh.err = errors.New("the disk is full")
	refused(t, revoke(t, f, http.MethodPost, "token=others"), 503, "UNAVAILABLE")
	f.client.Private = false
	refused(t, revoke(t, f, http.MethodPost, "token=others"), 403, "DENIED")
}

// What goes on being good is not said to have ended (RFC 7009, section 2.2.1).
func TestRevokeOfWhatCannotBeRevoked(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	f.Refresh = nil
	for _, text := range []string{"session of alice", "mgk_x", "mgk_" + strings.Repeat("x", 5000)} {
		w := revoke(t, f, http.MethodPost, "token="+url.QueryEscape(text))
		refused(t, w, 400, "BAD_REQUEST")
		if !strings.Contains(w.Body.String(), `"error":"unsupported_token_type"`) {
			t.Errorf("%.20s: %s", text, w.Body)
		}
	}
	if len(f.records) > 0 {
		t.Errorf("recorded %+v", f.records)
	}
}

// While it could not be recorded, nothing is made or ended that lasts. Other tokens are.
func TestNothingLastsWithoutARecord(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t))
	f.refresh.tokens = map[string]string{"mine": "alice for moorgate"}
	f.Ready = func() error { return errors.New("the disk is full") }
	refused(t, revoke(t, f, http.MethodPost, "token=mine"), 503, "UNAVAILABLE")
	refused(t, f.get(t, "service=moorgate&offline_token=true&client_id=x", "alice"), 503, "UNAVAILABLE")
	refused(t, f.post(t, "grant_type=password&username=alice&password="+url.QueryEscape("alice's password")+"&client_id=x&service="+url.QueryEscape(session.Audience)), 503, "UNAVAILABLE")
	if w := f.get(t, "service=moorgate", "alice"); w.Code != http.StatusOK {
		t.Errorf("a token that does not last: status %d: %s", w.Code, w.Body)
	}
	if diff := cmp.Diff(map[string]string{"mine": "alice for moorgate"}, f.refresh.tokens); diff != "" || f.started.who.User != "" {
		t.Errorf("%s, a session of %q", diff, f.started.who.User)
	}
}

func TestAbout(t *testing.T) {
	t.Parallel()
	h := tokenapi.About("/token", "/token/revoke", time.Hour, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	want := fmt.Sprintf(`{"token_path":"/token","revoke_path":"/token/revoke","session_service":%q,"session_seconds":3600}`, session.Audience)
	if w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d", w.Code)
	}
}
