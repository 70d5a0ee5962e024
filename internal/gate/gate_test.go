package gate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/reqctx"
)

// now is the time of all tests.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fixture is a gate, and what came through it.
type fixture struct {
	gate.Gate
	err     error            // what the handler behind the gate returns
	handle  func(*gate.Call) // what it does before
	passed  []*gate.Call     // what the handler was called with
	asked   []string         // users whose password was asked for
	records []audit.Record   // what was audited
	log     bytes.Buffer     // what was logged
	client  reqctx.Client    // how the client is connected
	login   map[string]error // what the login source answers, by user; else ErrNoMatch

	passwords map[string]string // more users
}

// newFixture returns a gate with that policy, whose one user is alice.
func newFixture(policy *access.Policy) *fixture {
	f := &fixture{
		client: reqctx.Client{Addr: netip.MustParseAddr("192.0.2.1"), Private: true},
		login:  map[string]error{},
	}
	record := func(_ context.Context, r audit.Record) { f.records = append(f.records, r) }
	f.Gate = gate.Gate{
		Next: f, Login: &login.Desk{Passwords: f, Audit: record},
		Policy: func() *access.Policy { return policy }, Realm: `the "test" registry`,
		Audit: record, Now: func() time.Time { return now },
		Log: slog.New(slog.NewTextHandler(&f.log, nil)),
	}
	return f
}

// ServeOCI is the handler behind the gate.
func (f *fixture) ServeOCI(w http.ResponseWriter, _ *http.Request, c *gate.Call) error {
	f.passed = append(f.passed, c)
	if f.handle != nil {
		f.handle(c)
	}
	if f.err == nil {
		w.WriteHeader(http.StatusOK)
	}
	return f.err
}

// VerifyPassword is the login source. The password of alice is "wonderland".
func (f *fixture) VerifyPassword(_ context.Context, user, password string) (access.Identity, error) {
	f.asked = append(f.asked, user)
	err, special := f.login[user]
	switch known, ok := f.passwords[user]; {
	case ok && known == password:
		return access.Identity{User: user, Source: "test"}, nil
	case ok:
		return access.Identity{}, authn.ErrWrongPassword
	case special:
		return access.Identity{}, err
	case user != "alice":
		return access.Identity{}, authn.ErrNoMatch
	case password != "wonderland":
		return access.Identity{}, authn.ErrWrongPassword
	default:
		return access.Identity{User: user, Source: "test"}, nil
	}
}

// do sends a request whose body must not be read.
func (f *fixture) do(t *testing.T, line string, authorization ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, target, trap{t})
	r.ContentLength = 1 << 30
	r = r.WithContext(reqctx.WithClient(reqctx.WithID(r.Context(), "REQUEST-ID"), f.client))
	for _, value := range authorization {
		r.Header.Add("Authorization", value)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if got := w.Header().Get("Docker-Distribution-Api-Version"); got != "registry/2.0" {
		t.Errorf("%s: Docker-Distribution-Api-Version is %q", line, got)
	}
	return w
}

// trap is a body that must not be read.
type trap struct{ t *testing.T }

func (b trap) Read([]byte) (int, error) {
	b.t.Error("the body of the request is read")
	return 0, io.EOF
}

// basic is the Authorization header of a user.
func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// body is the form of error answers.
type body struct {
	Errors []struct {
		Code, Message string
		Detail        map[string]any
	}
}

// firstError returns the first error of an answer.
func firstError(t *testing.T, w *httptest.ResponseRecorder) (code, message string, detail map[string]any) {
	t.Helper()
	var b body
	if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil || len(b.Errors) != 1 {
		t.Fatalf("the body has not one error: %v: %s", err, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type is %q", got)
	}
	return b.Errors[0].Code, b.Errors[0].Message, b.Errors[0].Detail
}
