package oidc

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/authn/oidctest"
)

// providerConfig takes the tokens of a real provider for one audience.
func providerConfig(p *oidctest.Provider) Config {
	c := Default()
	c.Issuer, c.CA, c.Audience, c.Require = p.Issuer, p.CA, []string{"registry.example"}, "true"
	c.Timeout = time.Minute
	return c
}

func TestContract(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	authntest.RunBearer(t, authntest.BearerConfig{Source: "ci", New: func(t *testing.T) (authn.Bearer, func(string, time.Time) string) {
		return open(t, providerConfig(p)), func(user string, expires time.Time) string {
			return p.Token(t, map[string]any{"sub": user, "aud": "registry.example", "exp": expires.Unix(), "iat": expires.Add(-5 * time.Minute).Unix()})
		}
	}})
}

// What a person gets by signing in at the provider is as good as what a job gets.
func TestTokensOfPeople(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	c := providerConfig(p)
	c.Audience, c.User, c.Groups = []string{oidctest.Client}, "claims.preferred_username", "claims.groups"
	c.Claims = []string{"email", "not there"}
	s := open(t, c)
	token := p.SignIn(t, oidctest.Ada, oidctest.AdaPassword).IDToken
	who, err := s.VerifyPassword(t.Context(), "oidc", token)
	want := access.Identity{User: "ada", Groups: []string{"dev", "ops"}, Source: "ci", Claims: map[string]any{"email": "ada@example.org"}, Until: who.Until}
	if diff := cmp.Diff(want, who); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

func TestATokenIsAPasswordOfOneName(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	c := i.config()
	c.Username = "ci-job"
	s := open(t, c)
	token := i.token(t, nil)
	for range 2 {
		who, err := s.VerifyPassword(t.Context(), "ci-job", token)
		if err != nil || who.User != "job" || who.Source != "ci" || who.Claims["iss"] != i.URL {
			t.Fatalf("%+v, %v", who, err)
		}
	}
	for _, tt := range []struct {
		user, password string
		recognized     bool
	}{
		{"oidc", token, false},
		{"job", token, false},
		{"", token, false},
		{"CI-JOB", token, false},
		{"ci-job", "a password", false},
		{"ci-job", "", false},
		{"ci-job", "moorgate_key_of_somebody", false},
		{"ci-job", "a.b.c", true},
		{"ci-job", token + "\n", false},
	} {
		if got := s.Recognizes(tt.user, tt.password); got != tt.recognized {
			t.Errorf("%q with %.20q: recognized is %v", tt.user, tt.password, got)
		}
		who, err := s.VerifyPassword(t.Context(), tt.user, tt.password)
		if !errors.Is(err, authn.ErrNoMatch) || who.User != "" {
			t.Errorf("%q with %.20q: %+v, %v; want ErrNoMatch", tt.user, tt.password, who, err)
		}
	}
}

// Several issuers live side by side under one name, and two clusters under one issuer.
func TestSourcesSideBySide(t *testing.T) {
	t.Parallel()
	a, b, one, two := newIssuer(t), newIssuer(t), newIssuer(t), newIssuer(t)
	cluster := func(i *ciIssuer) Config {
		c := i.config()
		c.Issuer, c.KeysFile = "https://kubernetes.default.svc", filepath.Join(t.TempDir(), "jwks.json")
		if err := os.WriteFile(c.KeysFile, i.jwks(), 0o600); err != nil {
			t.Fatal(err)
		}
		return c
	}
	chain := authn.Chain(open(t, a.config()), open(t, b.config()), open(t, cluster(one)), open(t, cluster(two)))
	cluster1 := map[string]any{"iss": "https://kubernetes.default.svc"}
	for name, token := range map[string]string{"a": a.token(t, nil), "b": b.token(t, nil), "one": one.token(t, cluster1), "two": two.token(t, cluster1)} {
		if _, err := chain.VerifyPassword(t.Context(), "oidc", token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := newIssuer(t)
	if _, err := chain.VerifyPassword(t.Context(), "oidc", stranger.token(t, nil)); !errors.Is(err, authn.ErrNoMatch) || !strings.Contains(err.Error(), stranger.URL) {
		t.Errorf("a stranger: %v", err)
	}
	b.away.Store(true) // its keys are known, and the others do not notice
	for name, token := range map[string]string{"a": a.token(t, nil), "b": b.token(t, nil), "one": one.token(t, cluster1)} {
		if _, err := chain.VerifyPassword(t.Context(), "oidc", token); err != nil {
			t.Errorf("%s, while b is away: %v", name, err)
		}
	}
	if n := stranger.fetches.Load(); n != 0 {
		t.Errorf("a stranger made us fetch %d times", n)
	}
}

func TestAnIssuerThatIsAway(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.away.Store(true)
	s := open(t, i.config())
	if err := s.Warm(t.Context()); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("error %v", err)
	}
	_, err := s.VerifyPassword(t.Context(), "oidc", i.token(t, nil))
	if err == nil || errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrWrongPassword) || !strings.Contains(err.Error(), "ci: ") {
		t.Errorf("error %v: it says something about the token", err)
	}
	i.away.Store(false)
	again := open(t, i.config())
	if err := again.Warm(t.Context()); err != nil {
		t.Errorf("error %v", err)
	}
	if _, err := again.VerifyPassword(t.Context(), "oidc", i.token(t, nil)); err != nil || i.fetches.Load() != 1 {
		t.Errorf("error %v, %d fetches", err, i.fetches.Load())
	}
}

func TestAProviderThatRotates(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	c := providerConfig(p)
	c.Refresh = time.Second // and so is the pause between two fetches
	s := open(t, c)
	claims := map[string]any{"sub": "job", "aud": "registry.example"}
	old := p.Token(t, claims)
	if _, err := s.VerifyToken(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	p.Rotate(t, true)
	for _, token := range []string{p.Token(t, claims), old} {
		soonGood(t, s, token)
	}
	p.Rotate(t, false)
	soonGood(t, s, p.Token(t, claims))
	if _, err := s.VerifyToken(t.Context(), old); !errors.Is(err, authn.ErrNoMatch) { // remembered, and its key is gone
		t.Errorf("the token of a key that is gone: %v", err)
	}
}

// soonGood waits until a token is taken.
func soonGood(t *testing.T, s *Source, token string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := s.VerifyToken(t.Context(), token)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func TestKeysInAFile(t *testing.T) {
	t.Parallel()
	i, other := newIssuer(t), newIssuer(t)
	c := i.config()
	c.Issuer, c.KeysFile = "kubernetes/serviceaccount", filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(c.KeysFile, other.jwks(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, c)
	token := i.token(t, map[string]any{"iss": c.Issuer})
	if _, err := s.VerifyToken(t.Context(), token); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(c.KeysFile, i.jwks(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil || len(c.Files()) != 1 {
		t.Fatal(err, c.Files())
	}
	if _, err := s.VerifyToken(t.Context(), token); err != nil {
		t.Error(err)
	}
	if found, err := s.Probe(t.Context()); err != nil || !strings.Contains(found, c.KeysFile) {
		t.Errorf("%q, %v", found, err)
	}
	if open(t, i.config()).Reload() != nil || i.config().Files() != nil {
		t.Error("a source without a file reads one")
	}
}
