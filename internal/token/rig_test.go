package token_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/token"
)

const (
	issuer  = "https://gate.example/token"
	service = "registry.example"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openKeys(t testing.TB, dir string, o token.KeysOptions) *token.Keys {
	t.Helper()
	keys, err := token.OpenKeys(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// rig is keys of ours and a verifier of their tokens.
type rig struct {
	*clock
	keys     *token.Keys
	verifier *token.Verifier
}

func newRig(t testing.TB) *rig {
	t.Helper()
	c := newClock()
	keys := openKeys(t, t.TempDir(), token.KeysOptions{Now: c.Now})
	return &rig{clock: c, keys: keys, verifier: verifierOf(c, keys)}
}

func verifierOf(c *clock, keys token.KeySet) *token.Verifier {
	return &token.Verifier{Issuer: issuer, Audience: service, Keys: keys, Leeway: time.Minute, Now: c.Now}
}

func alice() access.Identity {
	return access.Identity{User: "alice", Source: "htpasswd", Groups: []string{"dev", "ops"}}
}

func (c *clock) claims() token.Claims {
	return token.Claims{
		Issuer: issuer, Audience: service, Who: alice(), ID: "id-1",
		Access:   []access.Grant{{Type: "repository", Name: "team/app", Actions: []string{"pull", "push"}}},
		IssuedAt: c.Now(), Expires: c.Now().Add(5 * time.Minute),
	}
}

func sign(t testing.TB, keys *token.Keys, c token.Claims, chain bool) string {
	t.Helper()
	text, err := keys.Sign(c, chain)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// payload returns the claims of a good token as a map, to be spoilt.
func (c *clock) payload() map[string]any {
	return map[string]any{
		"iss": issuer, "sub": "alice", "aud": service, "jti": "x",
		"iat": c.Now().Unix(), "nbf": c.Now().Unix(), "exp": c.Now().Add(time.Minute).Unix(),
		"access":   []any{map[string]any{"type": "repository", "name": "team/app", "actions": []string{"pull"}}},
		"moorgate": map[string]any{"source": "htpasswd", "groups": []string{"dev"}},
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	if raw, ok := v.(string); ok { // JSON that no encoder writes
		return []byte(raw)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// forge makes a JWS with any header and payload.
func forge(t testing.TB, header, payload any, signer func(input []byte) []byte) string {
	t.Helper()
	input := b64(mustJSON(t, header)) + "." + b64(mustJSON(t, payload))
	return input + "." + b64(signer([]byte(input)))
}

func newECDSA(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// es256 signs by hand (RFC 7518, section 3.4).
func es256(t testing.TB, key *ecdsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

// fixed is a set of keys that a test changes.
type fixed struct {
	mu   sync.Mutex
	keys map[string]token.Key
	err  error
	asks int
}

func (f *fixed) Key(_ context.Context, id string) (token.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asks++
	if f.err != nil {
		return token.Key{}, f.err
	}
	key, ok := f.keys[id]
	if !ok {
		return token.Key{}, token.ErrUnknownKey
	}
	return key, nil
}

func setOf(id, alg string, public crypto.PublicKey) *fixed {
	return &fixed{keys: map[string]token.Key{id: {ID: id, Algorithm: alg, Public: public}}}
}

func wantRefused(t *testing.T, b authn.Bearer, text, because string) {
	t.Helper()
	got, err := b.VerifyToken(t.Context(), text)
	if !errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrExpired) {
		t.Fatalf("error %v, want ErrNoMatch", err)
	}
	if !strings.Contains(err.Error(), because) {
		t.Errorf("error %q does not say %q", err, because)
	}
	if got.Ceiling != nil || got.Who.User != "" {
		t.Errorf("a refused token says something: %+v", got)
	}
	if len(text) > 100 && strings.Contains(err.Error(), text[len(text)-20:]) {
		t.Errorf("the token is in the error %q", err)
	}
	if len(err.Error()) > 600 || bytes.ContainsAny([]byte(err.Error()), "\n\x00") {
		t.Errorf("an error that does not fit the log: %q", err)
	}
}

func wantGood(t *testing.T, b authn.Bearer, text string) authn.Token {
	t.Helper()
	got, err := b.VerifyToken(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
