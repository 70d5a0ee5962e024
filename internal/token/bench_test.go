package token_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/token"
)

// FuzzVerify spoils genuine tokens. What is taken must say what a genuine one says,
// byte by byte.
func FuzzVerify(f *testing.F) {
	r := newRig(f)
	genuine := map[string]bool{}
	for _, chain := range []bool{false, true} {
		text := sign(f, r.keys, r.claims(), chain)
		genuine[text[:strings.LastIndex(text, ".")]] = true
		f.Add(text)
	}
	f.Add(forge(f, map[string]any{"alg": "none"}, r.payload(), func([]byte) []byte { return nil }))
	f.Add(forge(f, map[string]any{"alg": "ES256", "kid": "x", "jwk": map[string]any{}}, r.payload(), es256(f, newECDSA(f))))
	f.Fuzz(func(t *testing.T, text string) {
		_, err := r.verifier.VerifyToken(t.Context(), text)
		if err == nil && !genuine[text[:max(0, strings.LastIndex(text, "."))]] {
			t.Errorf("a forged token is taken: %q", text)
		}
		if err != nil && !errors.Is(err, authn.ErrNoMatch) && !errors.Is(err, authn.ErrExpired) {
			t.Errorf("a fault: %v", err)
		}
	})
}

// FuzzKeys reads key sets. What is read can verify tokens.
func FuzzKeys(f *testing.F) {
	keys := openKeys(f, f.TempDir(), token.KeysOptions{})
	f.Add(keys.JWKS())
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"},{"kty":"RSA","n":"AQ","e":"AQAB"}]}`))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := token.ParseKeys(data)
		if err != nil {
			return
		}
		for id, key := range set {
			if key.ID != id || key.Public == nil || strings.HasPrefix(key.Algorithm, "HS") || key.Algorithm == "" {
				t.Errorf("%q: %+v", id, key)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r := newRig(b)
	text := sign(b, r.keys, r.claims(), false)
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.verifier.VerifyToken(b.Context(), text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			v := verifierOf(r.clock, r.keys)
			_, _ = v.VerifyToken(b.Context(), "") // makes its memory
			b.StartTimer()
			if _, err := v.VerifyToken(b.Context(), text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.keys.Sign(r.claims(), false); err != nil {
				b.Fatal(err)
			}
		}
	})
}
