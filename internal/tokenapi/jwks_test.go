package tokenapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/token"
	"github.com/moorgate/moorgate/internal/tokenapi"
)

// The refresh tokens there are fit.
var _ tokenapi.Refresh = (*refresh.Tokens)(nil)

func TestJWKS(t *testing.T) {
	t.Parallel()
	const set = `{"keys":[]}`
	handler := tokenapi.JWKS(func() []byte { return []byte(set) }, slog.New(slog.DiscardHandler))
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "OPTIONS": 405} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/jwks", http.NoBody))
		h := w.Header()
		if w.Code != want || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: status %d, headers %v", method, w.Code, h)
		}
		if want == 405 {
			if h.Get("Allow") != "GET, HEAD" || h.Get("Cache-Control") != "" {
				t.Errorf("%s: headers %v", method, h)
			}
			continue
		}
		if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "public, max-age=300" || h.Get("Content-Length") != "11" {
			t.Errorf("%s: headers %v", method, h)
		}
		if got := w.Body.String(); method == "GET" && got != set {
			t.Errorf("the set is %q", got)
		}
	}
}

// Tokens that are signed with real keys verify with what is published, and say
// what was granted.
func TestTokensVerify(t *testing.T) {
	t.Parallel()
	keys, err := token.OpenKeys(t.TempDir(), token.KeysOptions{Overlap: token.AtOnce})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(rules(t))
	f.Sign, f.Now = keys.Sign, time.Now
	verifier := token.Verifier{Issuer: f.Issuer, Audience: "moorgate", Keys: keys}
	for _, user := range []string{"alice", ""} {
		w := f.get(t, form("service", "moorgate", "scope", "repository:public/a:pull,push"), user)
		var a answer
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
			t.Fatalf("status %d: %v: %s", w.Code, err, w.Body)
		}
		got, err := verifier.VerifyToken(t.Context(), a.Token)
		if err != nil {
			t.Fatal(err)
		}
		if got.Who.User != user || !got.Ceiling.Covers(access.Scope{Action: access.Pull, Repo: "public/a", Tag: "v1"}) ||
			got.Ceiling.Covers(access.Scope{Action: access.Push, Repo: "public/a"}) {
			t.Errorf("the token of %q says %+v", user, got)
		}
		other := token.Verifier{Issuer: f.Issuer, Audience: "registry", Keys: keys}
		if _, err := other.VerifyToken(t.Context(), a.Token); err == nil {
			t.Errorf("another service takes the token of %q", user)
		}
	}
}
