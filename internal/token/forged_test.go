package token_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/moorgate/moorgate/internal/token"
)

// The attacker knows everything public: the JWKS, the certificates, genuine tokens.
func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	c := newClock()
	own, stranger := newECDSA(t), newECDSA(t)
	dir := t.TempDir()
	strangers := openKeys(t, dir, token.KeysOptions{Now: c.Now})
	v := verifierOf(c, setOf("ours", "ES256", own.Public()))
	called := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { called <- r.URL.Path }))
	t.Cleanup(server.Close)

	der, err := x509.MarshalPKIXPublicKey(own.Public())
	if err != nil {
		t.Fatal(err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	point, err := own.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	header := func(more ...any) map[string]any {
		h := map[string]any{"alg": "ES256", "typ": "JWT", "kid": "ours"}
		for i := 0; i < len(more); i += 2 {
			h[more[i].(string)] = more[i+1]
		}
		return h
	}
	hs256 := func(secret []byte) func([]byte) []byte {
		return func(input []byte) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write(input)
			return mac.Sum(nil)
		}
	}
	nothing := func([]byte) []byte { return nil }
	byOwn, byStranger := es256(t, own), es256(t, stranger)
	jwk := jose.JSONWebKey{Key: stranger.Public(), KeyID: "ours", Algorithm: "ES256"}
	strangersHeader, _, _, _ := split(t, sign(t, strangers, c.claims(), true))
	good := forge(t, header(), c.payload(), byOwn)
	wantGood(t, v, good) // what is spoilt below is good
	parts := strings.Split(good, ".")

	for name, forged := range map[string]string{
		"alg none":                        forge(t, header("alg", "none"), c.payload(), nothing),
		"alg None":                        forge(t, header("alg", "None"), c.payload(), nothing),
		"alg none with a good signature":  forge(t, header("alg", "none"), c.payload(), byOwn),
		"no alg":                          forge(t, map[string]any{"kid": "ours"}, c.payload(), byOwn),
		"HS256 with the PEM":              forge(t, header("alg", "HS256"), c.payload(), hs256(pemKey)),
		"HS256 with the DER":              forge(t, header("alg", "HS256"), c.payload(), hs256(der)),
		"HS256 with the point":            forge(t, header("alg", "HS256"), c.payload(), hs256(point)),
		"HS256 with x":                    forge(t, header("alg", "HS256"), c.payload(), hs256(point[1:33])),
		"HS256 with nothing":              forge(t, header("alg", "HS256"), c.payload(), hs256(nil)),
		"another algorithm":               forge(t, header("alg", "ES384"), c.payload(), byOwn),
		"RS256 for an EC key":             forge(t, header("alg", "RS256"), c.payload(), byOwn),
		"a key of its own":                forge(t, header("jwk", jwk), c.payload(), byStranger),
		"a key of its own, signed by us":  forge(t, header("jwk", jwk), c.payload(), byOwn),
		"a key of its own, no kid":        forge(t, map[string]any{"alg": "ES256", "jwk": jwk}, c.payload(), byStranger),
		"jku":                             forge(t, header("jku", server.URL+"/jku"), c.payload(), byStranger),
		"jku, signed by us":               forge(t, header("jku", server.URL+"/jku"), c.payload(), byOwn),
		"x5u":                             forge(t, header("x5u", server.URL+"/x5u"), c.payload(), byStranger),
		"x5c of a stranger's authority":   forge(t, header("x5c", strangersHeader["x5c"]), c.payload(), byStranger),
		"a token of a stranger":           sign(t, strangers, c.claims(), false),
		"a token of a stranger, chain":    sign(t, strangers, c.claims(), true),
		"our kid, a stranger's signature": forge(t, header(), c.payload(), byStranger),
		"no kid":                          forge(t, map[string]any{"alg": "ES256"}, c.payload(), byOwn),
		"an empty kid":                    forge(t, header("kid", ""), c.payload(), byOwn),
		"a kid that is no string":         forge(t, header("kid", []string{"ours"}), c.payload(), byOwn),
		"a kid that is a path":            forge(t, header("kid", "../../../../dev/null"), c.payload(), hs256(nil)),
		"a kid that is SQL":               forge(t, header("kid", "x' UNION SELECT 'key';--\x00\n"), c.payload(), byOwn),
		"a kid that is huge":              forge(t, header("kid", strings.Repeat("k", 9000)), c.payload(), byOwn),
		"crit":                            forge(t, header("crit", []string{"exp"}, "exp", 1), c.payload(), byOwn),
		"b64 false":                       forge(t, header("crit", []string{"b64"}, "b64", false), c.payload(), byOwn),
		"a header member twice":           forge(t, `{"alg":"none","alg":"ES256","kid":"ours"}`, c.payload(), byOwn),
		"no signature":                    parts[0] + "." + parts[1] + ".",
		"no signature, two parts":         parts[0] + "." + parts[1],
		"an empty signature of zeros":     parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)),
		"a short signature":               parts[0] + "." + parts[1] + "." + parts[2][:80],
		"another payload":                 parts[0] + "." + b64(mustJSON(t, map[string]any{"iss": issuer})) + "." + parts[2],
		"garbage behind it":               good + "x",
		"padding behind it":               good + "==",
		"a line break behind it":          good + "\n",
		"a line break in it":              parts[0] + ".\n" + parts[1] + "." + parts[2],
		"a part behind it":                good + "." + parts[2],
		"a space in front":                " " + good,
		"two tokens":                      good + "," + good,
		"standard base64":                 base64.StdEncoding.EncodeToString(mustJSON(t, header())) + "." + parts[1] + "." + parts[2],
		"nothing":                         "",
		"dots":                            "..",
		"huge":                            parts[0] + "." + strings.Repeat("A", 17<<10) + "." + parts[2],
		"a JWE":                           good + ".AAAA.AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, v, forged, "")
		})
	}
	t.Cleanup(func() {
		select {
		case path := <-called:
			t.Errorf("the token made us call %s", path)
		default:
		}
	})
}

// The JSON serialization can have several signatures, one of them good.
func TestTokensInJSONAreRefused(t *testing.T) {
	t.Parallel()
	c := newClock()
	own := newECDSA(t)
	v := verifierOf(c, setOf("ours", "ES256", own.Public()))
	var keys []jose.SigningKey
	for _, key := range []*ecdsa.PrivateKey{own, newECDSA(t)} {
		keys = append(keys, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "ours"}})
	}
	for n := 1; n <= 2; n++ {
		signer, err := jose.NewMultiSigner(keys[:n], nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(mustJSON(t, c.payload()))
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, v, signed.FullSerialize(), "not a JWT")
	}
}

func TestJSONThatReadersDifferAboutIsRefused(t *testing.T) {
	t.Parallel()
	c := newClock()
	own := newECDSA(t)
	v := verifierOf(c, setOf("ours", "ES256", own.Public()))
	good := strings.TrimSuffix(string(mustJSON(t, c.payload())), "}")
	for name, payload := range map[string]string{
		"a claim twice":         good + `,"sub":"root"}`,
		"a claim of ours twice": good + `,"moorgate":{"source":"x","groups":["admin"]}}`,
		"a member twice inside": good + `,"x":{"a":1,"a":2}}`,
		"something behind":      good + `}{}`,
		"not an object":         `["` + issuer + `"]`,
		"not JSON":              `iss`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, v, forge(t, map[string]any{"alg": "ES256", "kid": "ours"}, payload, es256(t, own)), "")
		})
	}
	t.Run("other spelling is another claim", func(t *testing.T) {
		t.Parallel()
		got := wantGood(t, v, forge(t, map[string]any{"alg": "ES256", "kid": "ours"}, good+`,"SUB":"root","Access":[{"type":"registry","name":"catalog","actions":["*"]}]}`, es256(t, own)))
		if got.Who.User != "alice" || len(got.Ceiling) != 1 || got.Ceiling[0].Name != "team/app" {
			t.Errorf("%+v", got)
		}
	})
}

// A key set of a shared secret, as nobody should make one.
func TestASharedSecretIsNoKey(t *testing.T) {
	t.Parallel()
	c := newClock()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	v := verifierOf(c, setOf("ours", "HS256", secret))
	wantRefused(t, v, forge(t, map[string]any{"alg": "HS256", "kid": "ours"}, c.payload(), func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}), "")
}
