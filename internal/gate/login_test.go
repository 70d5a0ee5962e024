package gate_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/reqctx"
)

const list = "GET /v2/a/tags/list"

func TestPasswordsOnlyWhereNobodyReadsAlong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		client reqctx.Client
		status int
	}{
		"same machine or TLS":     {reqctx.Client{Private: true}, 200},
		"plain network":           {reqctx.Client{}, 403},
		"TLS that ends before us": {reqctx.Client{TLS: true}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.SignedIn())
			f.client = test.client
			w := f.do(t, list, alice.authorization...)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if asked := len(f.asked) > 0; asked != (test.status == 200) {
				t.Errorf("the password was given to the login source: %v", asked)
			}
			if test.status == 200 {
				return
			}
			if code, message, _ := firstError(t, w); code != "DENIED" || !strings.Contains(message, "https") {
				t.Errorf("the error is %s: %s", code, message)
			}
			if w.Header().Get("WWW-Authenticate") != "" {
				t.Error("the client is asked for the password again")
			}
			// Nor is it asked for: the client would send it.
			if w := f.do(t, list); w.Code != http.StatusForbidden || w.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("anonymous gets %d and the challenge %q", w.Code, w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// An open registry looks at no password, so there is nothing to protect.
func TestOpenRegistryRefusesNoPassword(t *testing.T) {
	t.Parallel()
	f := newFixture(access.Open())
	f.Login.Passwords, f.client = nil, reqctx.Client{}
	if w := f.do(t, list, alice.authorization...); w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}

func TestLoginErrors(t *testing.T) {
	t.Parallel()
	secret := errors.New("ldap://secret.example does not answer")
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"unknown":         {authn.ErrNoMatch, 401, "UNAUTHORIZED"},
		"wrong":           {authn.ErrWrongPassword, 401, "UNAUTHORIZED"},
		"wrong, wrapped":  {errors.Join(secret, authn.ErrWrongPassword), 401, "UNAUTHORIZED"},
		"busy":            {errors.Join(secret, authn.ErrBusy), 429, "TOOMANYREQUESTS"},
		"does not answer": {secret, 503, "UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.SignedIn())
			f.login["bob"] = test.err
			w := f.do(t, list, basic("bob", "hunter2"))
			code, message, _ := firstError(t, w)
			if w.Code != test.status || code != test.code {
				t.Errorf("%d %s, want %d %s", w.Code, code, test.status, test.code)
			}
			if (w.Header().Get("Retry-After") != "") != (test.status != 401) {
				t.Errorf("status %d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the client is told: %s", message)
			}
			if logged := strings.Contains(f.log.String(), "secret.example"); logged != (test.status == 503) {
				t.Errorf("the log has the cause: %v\n%s", logged, f.log.String())
			}
			if strings.Contains(f.log.String(), "hunter2") {
				t.Errorf("the log has the password: %s", f.log.String())
			}
			if len(f.passed) > 0 {
				t.Error("the handler was called")
			}
		})
	}
}

// An unknown user and a wrong password look the same.
func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	unknown, wrong := f.do(t, list, stranger.authorization...), f.do(t, list, wrong.authorization...)
	if diff := cmp.Diff(unknown.Body.String(), wrong.Body.String()); diff != "" {
		t.Errorf("bodies differ:\n%s", diff)
	}
	if diff := cmp.Diff(unknown.Header(), wrong.Header()); diff != "" {
		t.Errorf("headers differ:\n%s", diff)
	}
}

// Names and passwords that no user has never come to a login source, which may
// be a program or a directory of somebody else.
func TestBoundsOfNamesAndPasswords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		user, password string
		asked          bool
	}{
		"no name":             {"", "x", false},
		"name too long":       {strings.Repeat("x", 256), "x", false},
		"password too long":   {"alice", strings.Repeat("x", 16<<10+1), false},
		"NUL in the name":     {"a\x00b", "x", false},
		"new line":            {"a\nb", "x", false},
		"carriage return":     {"a\rb", "x", false},
		"longest name":        {strings.Repeat("x", 255), "x", true},
		"longest password":    {"alice", strings.Repeat("x", 16<<10), true},
		"no password":         {"alice", "", true},
		"colon in a password": {"alice", "a:b", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.SignedIn())
			if w := f.do(t, list, basic(test.user, test.password)); w.Code != http.StatusUnauthorized {
				t.Errorf("status %d", w.Code)
			}
			if asked := len(f.asked) > 0; asked != test.asked {
				t.Errorf("the login source was asked: %v", asked)
			}
		})
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	base := audit.Record{RequestID: "REQUEST-ID"}
	listing := access.Scope{Action: access.List, Repo: "a"}
	for name, test := range map[string]struct {
		as   who
		line string
		want []audit.Record
	}{
		"allowed": {alice, list, []audit.Record{
			{Who: access.Identity{User: "alice", Source: "test"}, Scope: listing, Operation: "tag-list", Outcome: audit.Allowed, Rule: "signed-in users may do everything"},
		}},
		"denied": {anonymous, list, []audit.Record{
			{Scope: listing, Operation: "tag-list", Outcome: audit.Denied, Rule: "only signed-in users are allowed"},
		}},
		"wrong password": {wrong, list, []audit.Record{
			{Who: access.Identity{User: "alice"}, Operation: "login", Outcome: audit.LoginFailed, Rule: authn.ErrWrongPassword.Error()},
		}},
		"unknown user": {stranger, list, []audit.Record{
			{Who: access.Identity{User: "jabberwock"}, Operation: "login", Outcome: audit.LoginFailed, Rule: authn.ErrNoMatch.Error()},
		}},
		"nonsense": {who{authorization: []string{basic("a\nb", "x")}}, list, []audit.Record{
			{Operation: "login", Outcome: audit.LoginFailed, Rule: "malformed user name or password"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.SignedIn())
			f.do(t, test.line, test.as.authorization...)
			for i := range test.want {
				test.want[i].RequestID, test.want[i].Client = base.RequestID, f.client.Addr
			}
			if diff := cmp.Diff(test.want, f.records, cmpopts.EquateComparable(f.client.Addr)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}
