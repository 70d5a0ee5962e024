package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/token"
)

func writeFile(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func jwks(t *testing.T, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	return mustJSON(t, jose.JSONWebKeySet{Keys: keys})
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAKeyWithoutAlgorithmHasItsNaturalOne(t *testing.T) {
	t.Parallel()
	curve := func(c elliptic.Curve) crypto.PublicKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key.Public()
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bits2048 := rsaKey(t, 2048).Public()
	for name, test := range map[string]struct {
		public    crypto.PublicKey
		alg, want string
	}{
		"P-256": {curve(elliptic.P256()), "", "ES256"}, "P-384": {curve(elliptic.P384()), "", "ES384"},
		"P-521": {curve(elliptic.P521()), "", "ES512"}, "RSA": {bits2048, "", "RS256"}, "Ed25519": {edwards, "", "EdDSA"},
		"RSA-PSS": {bits2048, "PS512", "PS512"}, "RSA with SHA-384": {bits2048, "RS384", "RS384"},
	} {
		set, err := token.OpenKeysFile(writeFile(t, jwks(t, jose.JSONWebKey{Key: test.public, KeyID: "k", Algorithm: test.alg})))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if key, err := set.Key(t.Context(), "k"); err != nil || key.Algorithm != test.want {
			t.Errorf("%s: %q, %v", name, key.Algorithm, err)
		}
	}
}

func TestBadKeySetsAreRefused(t *testing.T) {
	t.Parallel()
	private := newECDSA(t)
	good := jose.JSONWebKey{Key: private.Public(), KeyID: "k"}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: rsaKey(t, 1024).N, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"a shared secret":               {jwks(t, good, jose.JSONWebKey{Key: []byte("secret"), KeyID: "s", Algorithm: "HS256"}), "shared secret"},
		"a shared secret for something": {jwks(t, good, jose.JSONWebKey{Key: []byte("secret"), KeyID: "s", Use: "enc"}), "shared secret"},
		"a private key":                 {jwks(t, jose.JSONWebKey{Key: private, KeyID: "p"}), "private key"},
		"a kid twice":                   {jwks(t, good, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "k"}), "as another one has"},
		"an algorithm of another curve": {jwks(t, jose.JSONWebKey{Key: private.Public(), KeyID: "k", Algorithm: "ES384"}), "does not fit"},
		"an algorithm of another kind":  {jwks(t, jose.JSONWebKey{Key: private.Public(), KeyID: "k", Algorithm: "RS256"}), "does not fit"},
		"a weak key":                    {jwks(t, jose.JSONWebKey{Key: &rsa.PublicKey{N: rsaKey(t, 1024).N, E: 65537}, KeyID: "k"}), "2048"},
		"a point off the curve":         {[]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"` + strings.Repeat("A", 42) + `E","y":"` + strings.Repeat("A", 42) + `E"}]}`), "key 1"},
		"only keys for other uses":      {jwks(t, jose.JSONWebKey{Key: private.Public(), KeyID: "k", Use: "enc"}), "no key in it"},
		"no keys":                       {[]byte(`{"keys":[]}`), "no key in it"},
		"no list":                       {[]byte(`{}`), `no list "keys"`},
		"half a set":                    {[]byte(`{"keys":[`), "not a JWK set"},
		"nothing":                       {nil, "neither"},
		"a private key in PEM":          {block("PRIVATE KEY", der), "public keys"},
		"a weak key in PEM":             {block("PUBLIC KEY", weak), "2048"},
		"a key twice in PEM":            {append(block("PUBLIC KEY", public), block("PUBLIC KEY", public)...), "twice"},
		"something else in PEM":         {block("X509 CRL", der), "neither"},
	} {
		path := writeFile(t, test.data)
		if _, err := token.OpenKeysFile(path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := token.OpenKeysFile(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestKeysThatCannotVerifyAreLeftOut(t *testing.T) {
	t.Parallel()
	good := mustJSON(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "good", Use: "sig"})
	left := mustJSON(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "enc", Use: "enc"})
	oaep := mustJSON(t, jose.JSONWebKey{Key: rsaKey(t, 2048).Public(), KeyID: "oaep", Algorithm: "RSA-OAEP"})
	derive := mustJSON(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "derive"})
	weak := mustJSON(t, jose.JSONWebKey{Key: &rsa.PublicKey{N: rsaKey(t, 1024).N, E: 65537}, KeyID: "weak"})
	odd := mustJSON(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "odd", Algorithm: "RS256"})
	set, err := token.OpenKeysFile(writeFile(t, []byte(`{"keys":[`+string(good)+`,`+string(left)+`,`+string(oaep)+
		`,{"kty":"EC","crv":"secp256k1","kid":"coin"},{"kty":"AKP","alg":"ML-DSA-44","kid":"later"},{"kty":"OKP","crv":"X25519","kid":"dh"}`+
		`,{"kty":"EC","crv":"P-256","kid":"broken","x":"AA","y":"AA"}`+
		`,`+strings.Replace(string(derive), "{", `{"key_ops":["deriveKey"],`, 1)+`,`+string(weak)+`,`+string(odd)+`]}`)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Key(t.Context(), "good"); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"enc", "oaep", "coin", "later", "dh", "broken", "derive", "weak", "odd", ""} {
		want := token.ErrUnknownKey
		if _, err := set.Key(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// Token servers that are configured with a certificate name its key in one of two
// ways. The key is that of RFC 7517, appendix A.1; its thumbprint was computed with
// sha256sum, its fingerprint by libtrust.
func TestAKeyInPEMHasBothNames(t *testing.T) {
	t.Parallel()
	const public = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A
iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==
-----END PUBLIC KEY-----
`
	set, err := token.OpenKeysFile(writeFile(t, []byte(public)))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s", "KG4U:JTP2:KRGU:YMTT:VJV7:GUDC:LJ65:KO53:NJYX:EMTU:6U4L:DGRA"} {
		if key, err := set.Key(t.Context(), id); err != nil || key.ID != id || key.Algorithm != "ES256" {
			t.Errorf("%s: %+v, %v", id, key, err)
		}
	}
}

func TestAFileThatTurnsBadLeavesTheKeysAsTheyWere(t *testing.T) {
	t.Parallel()
	path := writeFile(t, jwks(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "a"}))
	set, err := token.OpenKeysFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("{"))
	if err := set.Reload(); err == nil {
		t.Error("no error")
	}
	if _, err := set.Key(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	write(jwks(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "b"}))
	if err := set.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Key(t.Context(), "a"); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("error %v", err)
	}
	if len(set.Files()) != 1 || set.Files()[0] != path {
		t.Errorf("files %v", set.Files())
	}
}

// says is a source that always says the same.
type says struct {
	user  string
	err   error
	asked *int
}

func (s says) VerifyToken(context.Context, string) (authn.Token, error) {
	*s.asked++
	t := authn.Token{}
	t.Who.User = s.user
	return t, s.err
}

func TestBearersAreAskedInOrder(t *testing.T) {
	t.Parallel()
	fault := errors.New("out of order")
	for name, test := range map[string]struct {
		first, second error
		user          string
		err           error
		asked         int
	}{
		"the first says yes":         {nil, nil, "first", nil, 1},
		"only the second knows it":   {authn.ErrNoMatch, nil, "second", nil, 2},
		"expired is an answer":       {authn.ErrExpired, nil, "first", authn.ErrExpired, 1},
		"a fault asks the next":      {fault, nil, "second", nil, 2},
		"a fault, and expired":       {fault, authn.ErrExpired, "second", authn.ErrExpired, 2},
		"a fault, and nobody":        {fault, authn.ErrNoMatch, "", fault, 2},
		"two faults":                 {fault, errors.New("another"), "", fault, 2},
		"nobody knows it":            {authn.ErrNoMatch, authn.ErrNoMatch, "", authn.ErrNoMatch, 2},
		"the second has it expired":  {authn.ErrNoMatch, authn.ErrExpired, "second", authn.ErrExpired, 2},
		"the second is out of order": {authn.ErrNoMatch, fault, "", fault, 2},
	} {
		asked := 0
		got, err := token.Bearers(says{"first", test.first, &asked}, says{"second", test.second, &asked}).VerifyToken(t.Context(), "x")
		if !errors.Is(err, test.err) || got.Who.User != test.user || asked != test.asked {
			t.Errorf("%s: %q, %v after %d", name, got.Who.User, err, asked)
		}
	}
	if _, err := token.Bearers().VerifyToken(t.Context(), "x"); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("nobody is asked: %v", err)
	}
}
