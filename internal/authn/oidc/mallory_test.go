package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/moorgate/moorgate/internal/authn"
)

// Mallory can get tokens of her own from issuers, knows all that is published, and has
// seen tokens for others.
func TestMalloryGetsNothing(t *testing.T) {
	t.Parallel()
	i, evil := newIssuer(t), newIssuer(t)
	s := open(t, i.config())
	if _, err := s.VerifyToken(t.Context(), i.token(t, nil)); err != nil {
		t.Fatal(err) // what is spoilt below is good
	}
	der, err := x509.MarshalPKIXPublicKey(i.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	header := func(more ...any) map[string]any {
		h := map[string]any{"alg": "RS256", "typ": "JWT", "kid": "r"}
		for n := 0; n < len(more); n += 2 {
			h[more[n].(string)] = more[n+1]
		}
		return h
	}
	claims := i.claims
	good := func(payload any) string { return forge(t, header(), payload, rs256(t, i.rsa)) }
	byEvil, nothing := rs256(t, evil.rsa), func([]byte) []byte { return nil }
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	text, err := json.Marshal(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	with := func(more string) string { return strings.TrimSuffix(string(text), "}") + "," + more + "}" }
	jwk := jose.JSONWebKey{Key: evil.rsa.Public(), KeyID: "r", Algorithm: "RS256"}
	x5c := []string{"MIIB"}

	for name, tt := range map[string]struct{ token, why string }{
		"alg none":                      {forge(t, header("alg", "none"), claims(nil), nothing), ""},
		"alg NONE":                      {forge(t, header("alg", "NONE"), claims(nil), nothing), ""},
		"alg none, signed":              {forge(t, header("alg", "none"), claims(nil), rs256(t, i.rsa)), ""},
		"HS256 with the public PEM":     {forge(t, header("alg", "HS256"), claims(nil), hs256(public)), ""},
		"HS256 with the public DER":     {forge(t, header("alg", "HS256"), claims(nil), hs256(der)), ""},
		"HS256 with the key set":        {forge(t, header("alg", "HS256"), claims(nil), hs256(i.jwks())), ""},
		"HS256 with nothing":            {forge(t, header("alg", "HS256"), claims(nil), hs256(nil)), ""},
		"the kid of the other key":      {forge(t, header("kid", "e"), claims(nil), rs256(t, i.rsa)), "algorithm"},
		"the other key with our alg":    {forge(t, header("kid", "e"), claims(nil), es256(t, i.ec)), "algorithm"},
		"our kid, the other key":        {forge(t, header("alg", "ES256"), claims(nil), es256(t, i.ec)), "algorithm"},
		"no kid":                        {forge(t, map[string]any{"alg": "RS256"}, claims(nil), rs256(t, i.rsa)), "kid"},
		"her key":                       {forge(t, header(), claims(nil), byEvil), ""},
		"her key in the header":         {forge(t, header("jwk", jwk), claims(nil), byEvil), ""},
		"her keys by jku":               {forge(t, header("jku", evil.URL+"/jwks"), claims(nil), byEvil), "jku"},
		"her keys by jku, good":         {forge(t, header("jku", evil.URL+"/jwks"), claims(nil), rs256(t, i.rsa)), "jku"},
		"her certificate by x5u":        {forge(t, header("x5u", evil.URL+"/jwks"), claims(nil), byEvil), "x5u"},
		"her certificate by x5c":        {forge(t, header("x5c", x5c), claims(nil), byEvil), ""},
		"another kid":                   {forge(t, header("kid", "hers"), claims(nil), byEvil), "its key"},
		"a token of her issuer":         {evil.token(t, nil), "from the issuer"},
		"her issuer under our name":     {evil.token(t, map[string]any{"iss": i.URL}), ""},
		"the issuer with a slash":       {good(claims(map[string]any{"iss": i.URL + "/"})), "from the issuer"},
		"the issuer in upper case":      {good(claims(map[string]any{"iss": strings.ToUpper(i.URL)})), "from the issuer"},
		"two issuers":                   {good(claims(map[string]any{"iss": []string{i.URL, evil.URL}})), ""},
		"for another service":           {good(claims(map[string]any{"aud": "sts.example"})), "it is for"},
		"for other services":            {good(claims(map[string]any{"aud": []string{"a", "b"}})), "it is for"},
		"for a service of a like name":  {good(claims(map[string]any{"aud": "registry.example.evil"})), "it is for"},
		"for everybody":                 {good(claims(map[string]any{"aud": "*"})), "it is for"},
		"for nobody":                    {good(claims(map[string]any{"aud": nil})), "it is for"},
		"without end":                   {good(claims(map[string]any{"exp": nil})), "expires"},
		"long over":                     {good(claims(map[string]any{"exp": at(-2 * 365 * 24 * time.Hour)})), "a year ago"},
		"from the future":               {good(claims(map[string]any{"iat": at(5 * time.Minute)})), "compare the clocks"},
		"for the future":                {good(claims(map[string]any{"nbf": at(5 * time.Minute)})), "compare the clocks"},
		"an end beyond all times":       {good(claims(map[string]any{"exp": json.RawMessage("1e300")})), ""},
		"the end of a session":          {forge(t, header("typ", "logout+jwt"), claims(nil), rs256(t, i.rsa)), "type"},
		"a claim twice":                 {good(with(`"sub":"root"`)), ""},
		"an audience twice":             {good(with(`"aud":"registry.example"`)), ""},
		"an issuer twice":               {good(with(`"iss":"` + i.URL + `"`)), ""},
		"a claim twice, deep inside":    {good(with(`"x":{"y":{"a":1,"a":2}}`)), ""},
		"nobody":                        {good(claims(map[string]any{"sub": nil})), "no such key: sub"},
		"nobody, by an empty name":      {good(claims(map[string]any{"sub": ""})), "cannot be a name"},
		"a user of a number":            {good(claims(map[string]any{"sub": 7})), "number"},
		"a user of a list":              {good(claims(map[string]any{"sub": []string{"root"}})), "array"},
		"a user on two lines":           {good(claims(map[string]any{"sub": "job\nroot"})), "cannot be a name"},
		"a user written backwards":      {good(claims(map[string]any{"sub": "job\u202etoor"})), "cannot be a name"},
		"a user with a space behind":    {good(claims(map[string]any{"sub": "root "})), "cannot be a name"},
		"a user with a zero byte":       {good(claims(map[string]any{"sub": "root\x00"})), "cannot be a name"},
		"a long user":                   {good(claims(map[string]any{"sub": strings.Repeat("a", 256)})), "cannot be a name"},
		"claims without end":            {good(claims(map[string]any{"bulk": strings.Repeat("x", 5<<10)})), "more than 4096"},
		"a token without end":           {good(claims(map[string]any{"bulk": strings.Repeat("x", 17<<10)})), "longer than"},
		"an encrypted token":            {i.token(t, nil) + ".AAAA.AAAA", "not a JWT"},
		"a token in JSON":               {`{"payload":"e30","signatures":[]}`, "not a JWT"},
		"a list":                        {good(`["` + i.URL + `"]`), ""},
		"two documents":                 {good(string(text) + string(text)), ""},
		"a critical extension":          {forge(t, header("crit", []string{"x"}, "x", 1), claims(nil), rs256(t, i.rsa)), ""},
		"alg twice":                     {forge(t, `{"alg":"none","alg":"RS256","kid":"r"}`, claims(nil), rs256(t, i.rsa)), ""},
		"a signature of nothing":        {forge(t, header(), claims(nil), nothing), ""},
		"a signature of something else": {strings.Join(append(strings.Split(i.token(t, nil), ".")[:2], strings.Split(i.token(t, nil), ".")[2]), "."), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for way, err := range map[string]error{"password": asPassword(t, s, tt.token), "Bearer": asBearer(t, s, tt.token)} {
				if !errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrExpired) || way == "Bearer" && !strings.Contains(err.Error(), tt.why) {
					t.Errorf("as %s: error %v, want ErrNoMatch and %q", way, err, tt.why)
				}
				if err != nil && (len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\n\x00\u202e")) {
					t.Errorf("as %s: an error that does not fit the log: %q", way, err)
				}
			}
		})
	}
	t.Cleanup(func() {
		if n := evil.fetches.Load(); n != 0 {
			t.Errorf("a token made us call mallory's server %d times", n)
		}
	})
}

func asPassword(t *testing.T, s *Source, token string) error {
	t.Helper()
	_, err := s.VerifyPassword(t.Context(), "oidc", token)
	return err
}

func asBearer(t *testing.T, s *Source, token string) error {
	t.Helper()
	_, err := s.VerifyToken(t.Context(), token)
	return err
}

// An expired token is good for nothing as a password, and says how long it is over.
func TestAnOldTokenIsAWrongPassword(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := open(t, i.config())
	old := i.token(t, map[string]any{"exp": time.Now().Add(-7 * time.Minute).Unix()})
	who, err := s.VerifyPassword(t.Context(), "oidc", old)
	if !errors.Is(err, authn.ErrWrongPassword) || who.User != "" || !strings.Contains(err.Error(), "7m") {
		t.Errorf("%+v, %v", who, err)
	}
}

// Whoever sends a token chooses its kid. The issuer is asked once for all of them.
func TestUnknownKeysAreAskedForOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := open(t, i.config())
	payload := i.claims(nil)
	for n := range 10_000 {
		token := forge(t, map[string]any{"alg": "ES256", "kid": fmt.Sprint("k", n)}, payload, func([]byte) []byte { return make([]byte, 64) })
		if err := asPassword(t, s, token); !errors.Is(err, authn.ErrNoMatch) {
			t.Fatal(err)
		}
	}
	if n := i.fetches.Load(); n > 5 { // a new one each 30 s
		t.Errorf("the keys were fetched %d times", n)
	}
	if err := asPassword(t, s, i.token(t, nil)); err != nil {
		t.Errorf("a good token behind them: %v", err)
	}
}

// Nesting as deep as a token can hold must not bring us down.
func TestDeepClaims(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	c := i.config()
	c.Require, c.Claims = "has(claims.deep) && claims.deep == claims.deep", []string{"sub"}
	s := open(t, c)
	for _, around := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		for _, depth := range []int{10, 500, 1500} {
			inner := strings.Repeat(around[0], depth) + "1" + strings.Repeat(around[1], depth)
			text, err := json.Marshal(i.claims(map[string]any{"deep": json.RawMessage(inner)}))
			if err != nil {
				t.Fatal(err)
			}
			err = asPassword(t, s, forge(t, map[string]any{"alg": "RS256", "kid": "r"}, string(text), rs256(t, i.rsa)))
			if err != nil && !errors.Is(err, authn.ErrNoMatch) {
				t.Errorf("%d times %q: %v", depth, around[0], err)
			}
		}
	}
}

// A key set with keys of all kinds: only those that can verify tokens count, and not
// with weak keys.
func TestStrangeKeys(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := i.config()
	c.KeysFile = t.TempDir() + "/jwks"
	modulus := jose.JSONWebKey{Key: weak.Public(), KeyID: "weak", Algorithm: "RS256"}
	weakText, err := modulus.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	set := strings.TrimSuffix(string(i.jwks()), "]}") + "," + string(weakText) +
		`,{"kty":"EC","crv":"P-224","kid":"curve","x":"AA","y":"AA"},{"kty":"RSA","use":"enc","kid":"enc","n":"AA","e":"AQAB"}]}`
	writeFile(t, c.KeysFile, set)
	s := open(t, c)
	for kid, sign := range map[string]func([]byte) []byte{"weak": rs256(t, weak), "curve": es256(t, curve), "enc": rs256(t, i.rsa)} {
		alg := "RS256"
		if kid == "curve" {
			alg = "ES256"
		}
		err := asBearer(t, s, forge(t, map[string]any{"alg": alg, "kid": kid}, i.claims(nil), sign))
		if !errors.Is(err, authn.ErrNoMatch) || !strings.Contains(err.Error(), "is not known") {
			t.Errorf("%s: %v", kid, err)
		}
	}
	if err := asBearer(t, s, i.token(t, nil)); err != nil {
		t.Errorf("the good key among them: %v", err)
	}
}
