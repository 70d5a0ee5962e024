package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ciIssuer is an issuer whose tokens a test makes by hand, also those that no issuer
// would make.
type ciIssuer struct {
	*httptest.Server
	rsa     *rsa.PrivateKey   // kid "r"
	ec      *ecdsa.PrivateKey // kid "e"
	fetches atomic.Int64      // of the keys
	away    atomic.Bool
}

func newIssuer(t testing.TB) *ciIssuer {
	t.Helper()
	i := &ciIssuer{}
	var err1, err2 error
	i.rsa, err1 = rsa.GenerateKey(rand.Reader, 2048)
	i.ec, err2 = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *ciIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.away.Load() {
		http.Error(w, "away", http.StatusBadGateway)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/jwks"})
	case "/jwks":
		i.fetches.Add(1)
		_, _ = w.Write(i.jwks())
	default:
		http.NotFound(w, r)
	}
}

// jwks is the keys as they are published.
func (i *ciIssuer) jwks() []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: i.rsa.Public(), KeyID: "r", Algorithm: "RS256", Use: "sig"}, {Key: i.ec.Public(), KeyID: "e"},
	}}
	text, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return text
}

// config takes all tokens of the issuer.
func (i *ciIssuer) config() Config {
	c := Default()
	c.Issuer, c.Audience, c.Require = i.URL, []string{"registry.example"}, "true"
	c.Timeout = time.Minute // a busy machine is no fault
	return c
}

// claims are those of a good token, with changes; nil removes a claim.
func (i *ciIssuer) claims(changes map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": i.URL, "aud": "registry.example", "sub": "job", "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// token is a good token with changes.
func (i *ciIssuer) token(t testing.TB, changes map[string]any) string {
	t.Helper()
	return forge(t, map[string]any{"alg": "RS256", "typ": "JWT", "kid": "r"}, i.claims(changes), rs256(t, i.rsa))
}

// forge makes a JWS of any header and payload; a string is JSON already.
func forge(t testing.TB, header, payload any, sign func([]byte) []byte) string {
	t.Helper()
	part := func(v any) string {
		text, isText := v.(string)
		if !isText {
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text = string(data)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	input := part(header) + "." + part(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

func rs256(t testing.TB, key *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

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

func hs256(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

// open opens a source called "ci" after its configuration was checked.
func open(t testing.TB, c Config) *Source {
	t.Helper()
	c.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	s, err := Open("ci", c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// problems are what Check reports, as "key: problem".
func problems(c Config) (all []string) {
	c.Check(func(key, problem string) { all = append(all, fmt.Sprintf("%s: %s", key, problem)) })
	return all
}
