package token_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/moorgate/moorgate/internal/token"
)

// provider answers as an issuer does; a test changes what.
type provider struct {
	*httptest.Server
	documents, sets atomic.Int64 // how often each was asked for

	mu       sync.Mutex
	document string
	set      []byte
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.documents.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		_, _ = w.Write([]byte(p.document))
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		p.sets.Add(1)
		if r.Header.Get("Authorization") != "" {
			t.Error("a token was sent along")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		_, _ = w.Write(p.set)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	p.says(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/keys"))
	return p
}

func (p *provider) says(document string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.document = document
}

func (p *provider) publish(t *testing.T, kid string) {
	t.Helper()
	data := jwks(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: kid})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set = data
}

func issuerKeys(t *testing.T, issuer string, o token.KeysURLOptions) *token.KeysURL {
	t.Helper()
	set, err := token.NewIssuerKeys(issuer, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestAnIssuerSaysWhereItsKeysAre(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	p.publish(t, "a")
	set := issuerKeys(t, p.URL, token.KeysURLOptions{Now: c.Now, TokenFile: filepath.Join(t.TempDir(), "never read")})
	if p.documents.Load() != 0 {
		t.Error("asked before it was needed")
	}
	for range 3 {
		if key, err := set.Key(t.Context(), "a"); err != nil || key.ID != "a" {
			t.Fatalf("%+v, %v", key, err)
		}
	}
	for i := range 10_000 { // kids are chosen by whoever sends a token
		if _, err := set.Key(t.Context(), fmt.Sprint("mallory ", i)); !errors.Is(err, token.ErrUnknownKey) {
			t.Fatal(err)
		}
	}
	if d, s := p.documents.Load(), p.sets.Load(); d != 1 || s != 1 {
		t.Errorf("the document was fetched %d times and the keys %d times, want once", d, s)
	}
	p.publish(t, "b")
	c.advance(30 * time.Second)
	if _, err := set.Key(t.Context(), "b"); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	sight, err := set.Look(t.Context())
	if err != nil || sight.URL != p.URL+"/keys" || sight.Count != 1 {
		t.Errorf("%+v, %v", sight, err)
	}
}

func TestALookComparesTheClocks(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newClock()
	p.publish(t, "a")
	set := issuerKeys(t, p.URL, token.KeysURLOptions{Now: c.Now})
	c.advance(-time.Hour)
	sight, err := set.Look(t.Context())
	if err != nil || sight.Ahead < 59*time.Minute || sight.Ahead > 70*time.Minute {
		t.Errorf("%+v, %v", sight, err)
	}
}

func TestDiscoveryThatMustNotBeTrusted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ document, want string }{
		"another issuer":          {`{"issuer":"https://evil.example","jwks_uri":"$URL/keys"}`, `is about the issuer "https://evil.example"`},
		"an issuer with a slash":  {`{"issuer":"$URL/","jwks_uri":"$URL/keys"}`, "is about the issuer"},
		"no issuer":               {`{"jwks_uri":"$URL/keys"}`, "is about the issuer"},
		"no keys":                 {`{"issuer":"$URL"}`, "jwks_uri"},
		"keys over plain http":    {`{"issuer":"$URL","jwks_uri":"http://keys.example/"}`, "could be changed on the way"},
		"keys in a file":          {`{"issuer":"$URL","jwks_uri":"file:///etc/passwd"}`, "jwks_uri"},
		"keys with a password":    {`{"issuer":"$URL","jwks_uri":"https://a:b@keys.example/"}`, "no user name and password"},
		"a page":                  {`<html>`, "not a discovery document"},
		"a list":                  {`[]`, "not a discovery document"},
		"nothing":                 {``, "not a discovery document"},
		"without end":             {`{"issuer":"` + strings.Repeat("x", 2<<20) + `"}`, "more than"},
		"a name of many letters":  {`{"issuer":"` + strings.Repeat("x", 1<<19) + `"}`, "is about the issuer"},
		"where there are no keys": {`{"issuer":"$URL","jwks_uri":"$URL/nothing"}`, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.publish(t, "a")
			p.says(strings.ReplaceAll(tt.document, "$URL", p.URL))
			_, err := issuerKeys(t, p.URL, token.KeysURLOptions{}).Key(t.Context(), "a")
			if err == nil || errors.Is(err, token.ErrUnknownKey) || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 {
				t.Errorf("error %.1200v, want %q", err, tt.want)
			}
			if p.sets.Load() != 0 {
				t.Error("the keys were fetched")
			}
		})
	}
}

func TestIssuersThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"http://login.example":           "use https",
		"login.example":                  "must begin with https://",
		"https://a:b@login.example":      "no user name",
		"https://login.example/?a=b":     "neither a query",
		"https://login.example/#a":       "neither a query",
		"https://login.example/\x00":     "cannot be read",
		"ftp://login.example":            "must begin with https://",
		"":                               "must begin with https://",
		"https://login.example/realms/?": "neither a query",
	} {
		if _, err := token.NewIssuerKeys(issuer, token.KeysURLOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", issuer, err, want)
		}
	}
}

func TestATokenForTheKeysGoesToTheirURLAlone(t *testing.T) {
	t.Parallel()
	file := writeFile(t, []byte("of the pod\n"))
	var got atomic.Value
	p := newPublisher(t)
	p.set(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(`{"keys":[]}`))
	})
	set := newKeysURL(t, p.URL, token.KeysURLOptions{TokenFile: file})
	if _, err := set.Look(t.Context()); err != nil || got.Load() != "Bearer of the pod" {
		t.Errorf("%v, %v", got.Load(), err)
	}
	if err := os.WriteFile(file, []byte("of the pod, later"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Look(t.Context()); err != nil || got.Load() != "Bearer of the pod, later" {
		t.Errorf("%v, %v", got.Load(), err)
	}
	missing := newKeysURL(t, p.URL, token.KeysURLOptions{TokenFile: file + ".not"})
	if _, err := missing.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
}

func TestAFetchEndsInTime(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	p := newPublisher(t)
	p.set(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	})
	t.Cleanup(func() { close(over) })
	set := newKeysURL(t, p.URL, token.KeysURLOptions{Timeout: 50 * time.Millisecond})
	if _, err := set.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("error %v", err)
	}
}
