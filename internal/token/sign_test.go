package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/token"
)

// split takes a JWS apart by hand.
func split(t *testing.T, text string) (header, body map[string]any, input, signature []byte) {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	decoded := make([][]byte, 3)
	for i, p := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			t.Fatal(err)
		}
	}
	for i, into := range []*map[string]any{&header, &body} {
		if err := json.Unmarshal(decoded[i], into); err != nil {
			t.Fatal(err)
		}
	}
	return header, body, []byte(parts[0] + "." + parts[1]), decoded[2]
}

func TestATokenHasTheClaimsOfTheSpecification(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, body, _, _ := split(t, sign(t, r.keys, r.claims(), false))
	now := float64(r.Now().Unix())
	want := map[string]any{
		"iss": issuer, "sub": "alice", "aud": service, "jti": "id-1",
		"iat": now, "nbf": now - 10, "exp": now + 300,
		"access":   []any{map[string]any{"type": "repository", "name": "team/app", "actions": []any{"pull", "push"}}},
		"moorgate": map[string]any{"source": "htpasswd", "groups": []any{"dev", "ops"}},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
}

func TestATokenWithoutRightsHasAnEmptyList(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.claims()
	c.Who, c.Access, c.ID, c.IssuedAt = access.Anonymous(), nil, "", time.Time{}
	_, body, _, _ := split(t, sign(t, r.keys, c, false))
	if list, ok := body["access"].([]any); !ok || len(list) != 0 {
		t.Errorf("access %#v", body["access"])
	}
	if sub, ok := body["sub"].(string); !ok || sub != "" {
		t.Errorf("sub %#v", body["sub"])
	}
	if id, _ := body["jti"].(string); len(id) < 20 {
		t.Errorf("jti %#v", body["jti"])
	}
	if body["iat"] != float64(r.Now().Unix()) {
		t.Errorf("iat %#v", body["iat"])
	}
	c.Access = []access.Grant{{Type: "repository", Class: "plugin", Name: "a"}}
	_, body, _, _ = split(t, sign(t, r.keys, c, false))
	want := []any{map[string]any{"type": "repository", "class": "plugin", "name": "a", "actions": []any{}}}
	if diff := cmp.Diff(want, body["access"]); diff != "" {
		t.Error(diff)
	}
}

// What distribution does with x5c, by hand: the chain up to the authority with any
// usage, then the signature with the key of the first certificate.
func TestThirdPartiesVerifyByTheChain(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{token.ES256, token.RS256, token.EdDSA} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			c, dir := newClock(), t.TempDir()
			keys := openKeys(t, dir, token.KeysOptions{Algorithm: alg, Now: c.Now})
			header, _, input, signature := split(t, sign(t, keys, c.claims(), true))
			chain, _ := header["x5c"].([]any)
			if header["typ"] != "JWT" || header["alg"] != alg || len(chain) != 1 {
				t.Fatalf("header %v", header)
			}
			der, err := base64.StdEncoding.DecodeString(chain[0].(string))
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			verifyChain(t, leaf, filepath.Join(dir, "ca.crt"))
			verifyByHand(t, leaf.PublicKey, input, signature)
		})
	}
}

func verifyChain(t *testing.T, leaf *x509.Certificate, caFile string) {
	t.Helper()
	data, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		t.Fatal("no certificate")
	}
	anyUse := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := leaf.Verify(anyUse); err != nil {
		t.Error(err)
	}
	anyUse.CurrentTime = time.Now().AddDate(19, 0, 0)
	if _, err := leaf.Verify(anyUse); err != nil {
		t.Errorf("in 19 years: %v", err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("the certificate is good for a server of TLS")
	}
	block, _ := pem.Decode(data)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.IsCA || ca.MaxPathLen != 0 || !ca.MaxPathLenZero || ca.KeyUsage != x509.KeyUsageCertSign || leaf.IsCA {
		t.Errorf("CA %v, path length %d, usage %b; leaf is CA: %v", ca.IsCA, ca.MaxPathLen, ca.KeyUsage, leaf.IsCA)
	}
}

func verifyByHand(t *testing.T, public any, input, signature []byte) {
	t.Helper()
	sum := sha256.Sum256(input)
	ok := false
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		ok = len(signature) == 64 && ecdsa.Verify(key, sum[:], r, s)
	case *rsa.PublicKey:
		ok = key.N.BitLen() == 3072 && rsa.VerifyPKCS1v15(key, 5 /* crypto.SHA256 */, sum[:], signature) == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, input, signature)
	}
	if !ok {
		t.Errorf("the signature is not that of the %T", public)
	}
}

// What distribution does without x5c: the key of the JWKS whose kid is that of the
// token.
func TestThirdPartiesVerifyByTheJWKS(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	keys := openKeys(t, dir, token.KeysOptions{Now: c.Now})
	header, _, input, signature := split(t, sign(t, keys, c.claims(), false))
	if _, ok := header["x5c"]; ok {
		t.Error("the token has an x5c")
	}
	data, err := os.ReadFile(filepath.Join(dir, "jwks.json"))
	if err != nil || string(data) != string(keys.JWKS()) {
		t.Fatalf("%v: %s", err, data)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v: %s", err, data)
	}
	jwk := set.Keys[0]
	text := func(name string) string { s, _ := jwk[name].(string); return s }
	if text("use") != "sig" || text("alg") != "ES256" || text("kty") != "EC" || text("crv") != "P-256" || len(jwk["x5c"].([]any)) != 1 {
		t.Errorf("JWK %v", jwk)
	}
	// RFC 7638, section 3.
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + text("x") + `","y":"` + text("y") + `"}`))
	if id := b64(sum[:]); text("kid") != id || header["kid"] != id {
		t.Errorf("kid %v of the JWK, %v of the token, thumbprint %s", text("kid"), header["kid"], id)
	}
	verifyByHand(t, pointOf(t, text("x"), text("y")), input, signature)
}

func pointOf(t *testing.T, x, y string) *ecdsa.PublicKey {
	t.Helper()
	point := []byte{4} // SEC 1, section 2.3.3: an uncompressed point
	for _, text := range []string{x, y} {
		coordinate, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, coordinate...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestSignRefusesWhatNobodyWouldTake(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		spoil func(*token.Claims)
		want  string
	}{
		"no issuer":          {func(c *token.Claims) { c.Issuer = "" }, "no issuer"},
		"no audience":        {func(c *token.Claims) { c.Audience = "" }, "no audience"},
		"no end":             {func(c *token.Claims) { c.Expires = time.Time{} }, "expire before"},
		"a life too long":    {func(c *token.Claims) { c.Expires = r.Now().Add(2 * time.Hour) }, "1h0m0s at most"},
		"too many groups":    {func(c *token.Claims) { c.Who.Groups = strings.Split(strings.Repeat("group,", 3000), ",") }, "3001 groups"},
		"too many grants":    {func(c *token.Claims) { c.Access = make([]access.Grant, 257) }, "256 grants"},
		"a user name on two": {func(c *token.Claims) { c.Who.User = "a\nb" }, "control characters"},
	} {
		claims := r.claims()
		c.spoil(&claims)
		if _, err := r.keys.Sign(claims, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Who does not fit is told from faults: a source may say more than a token can carry.
func TestWhoDoesNotFit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, change := range map[string]func(*token.Claims){
		"a long name":   func(c *token.Claims) { c.Who.User = strings.Repeat("a", 256) },
		"many groups":   func(c *token.Claims) { c.Who.Groups = slices.Repeat([]string{strings.Repeat("g", 50)}, 300) },
		"a long claim":  func(c *token.Claims) { c.Who.Claims = map[string]any{"bulk": strings.Repeat("x", 6000)} },
		"a line in sub": func(c *token.Claims) { c.Who.User = "a\nb" },
	} {
		c := r.claims()
		change(&c)
		if text, err := r.keys.Sign(c, false); !errors.Is(err, token.ErrUnfit) || text != "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
	c := r.claims()
	c.Audience = ""
	if _, err := r.keys.Sign(c, false); err == nil || errors.Is(err, token.ErrUnfit) {
		t.Errorf("a mistake of ours: %v", err)
	}
}
