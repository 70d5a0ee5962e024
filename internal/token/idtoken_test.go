package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/token"
)

// idRig takes ID tokens of one key, "theirs", and takes sub for the user.
type idRig struct {
	*clock
	keys   *fixed
	tokens *token.IDTokens
	forge  func(t *testing.T, payload any) string
	asked  int // how often somebody was identified
}

func newIDRig(t *testing.T) *idRig {
	t.Helper()
	own := newECDSA(t)
	r := &idRig{clock: newClock(), keys: setOf("theirs", "ES256", own.Public())}
	r.tokens = &token.IDTokens{
		Issuer: issuer, Audiences: []string{service, "other.example"}, Keys: r.keys, Leeway: time.Minute, Now: r.Now,
		Identify: func(claims map[string]any) (access.Identity, error) {
			r.asked++
			sub, ok := claims["sub"].(string)
			if !ok {
				return access.Identity{}, errors.New("no sub")
			}
			return access.Identity{User: sub, Source: "ci", Claims: claims}, nil
		},
	}
	r.forge = func(t *testing.T, payload any) string {
		t.Helper()
		return forge(t, map[string]any{"alg": "ES256", "kid": "theirs"}, payload, es256(t, own))
	}
	return r
}

func TestAnIDTokenSaysWhoSomebodyIs(t *testing.T) {
	t.Parallel()
	r := newIDRig(t)
	for _, aud := range []any{service, "other.example", []string{"x", service}} {
		p := r.payload() // with grants and a claim of ours, which mean nothing here
		p["aud"], p["access"] = aud, "everything"
		text := r.forge(t, p)
		before := r.asked
		for range 3 {
			got := wantGood(t, r.tokens, text)
			if got.Ceiling != nil || got.Who.User != "alice" || got.Who.Source != "ci" || got.Who.Groups != nil || !got.Expires.Equal(r.Now().Add(time.Minute)) {
				t.Errorf("%+v", got)
			}
		}
		if r.asked != before+1 {
			t.Errorf("identified %d times", r.asked-before)
		}
	}
}

func TestIDTokensAreChecked(t *testing.T) {
	t.Parallel()
	r := newIDRig(t)
	at := func(d time.Duration) int64 { return r.Now().Add(d).Unix() }
	for name, tt := range map[string]struct {
		change map[string]any
		want   string
	}{
		"another issuer":       {map[string]any{"iss": "https://evil.example"}, `from the issuer "https://evil.example"`},
		"another audience":     {map[string]any{"aud": "sts.example"}, `it is for "[sts.example]"`},
		"audiences of others":  {map[string]any{"aud": []string{"a", "b"}}, "it is for"},
		"no audience":          {map[string]any{"aud": nil}, "it is for"},
		"an empty audience":    {map[string]any{"aud": []string{""}}, "it is for"},
		"no end":               {map[string]any{"exp": nil}, "does not say when it expires"},
		"not yet":              {map[string]any{"nbf": at(3 * time.Minute)}, "3m0s from now: compare the clocks"},
		"issued in the future": {map[string]any{"iat": at(90 * time.Second)}, "1m30s from now: compare the clocks"},
		"nobody":               {map[string]any{"sub": nil}, "no sub"},
		"a user of number":     {map[string]any{"sub": 5}, ""},
	} {
		p := r.payload()
		for claim, value := range tt.change {
			if p[claim] = value; value == nil {
				delete(p, claim)
			}
		}
		t.Run(name, func(t *testing.T) { wantRefused(t, r.tokens, r.forge(t, p), tt.want) })
	}
	// An audience of nothing is nobody's, whatever the configuration says.
	p := r.payload()
	p["aud"] = ""
	wantRefused(t, &token.IDTokens{Issuer: issuer, Audiences: []string{""}, Keys: r.keys, Now: r.Now}, r.forge(t, p), "it is for")
}

func TestAnExpiredIDTokenSaysForHowLong(t *testing.T) {
	t.Parallel()
	r := newIDRig(t)
	text := r.forge(t, r.payload())
	wantGood(t, r.tokens, text)
	r.advance(8 * time.Minute)
	got, err := r.tokens.VerifyToken(t.Context(), text)
	if !errors.Is(err, authn.ErrExpired) || !strings.Contains(err.Error(), "7m0s ago") || got.Who.User != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTokensOfOtherTypes(t *testing.T) {
	t.Parallel()
	own := newECDSA(t)
	r := newIDRig(t)
	r.keys.keys["theirs"] = token.Key{ID: "theirs", Algorithm: "ES256", Public: own.Public()}
	for typ, good := range map[string]bool{
		"JWT": true, "jwt": true, "application/jwt": true, "at+jwt": true, "application/at+jwt": true,
		"logout+jwt": false, "secevent+jwt": false, "dpop+jwt": false, "": false, "JWT\n": false,
	} {
		text := forge(t, map[string]any{"alg": "ES256", "kid": "theirs", "typ": typ}, r.payload(), es256(t, own))
		if good {
			wantGood(t, r.tokens, text)
		} else {
			wantRefused(t, r.tokens, text, "type")
		}
	}
}

// The claims that somebody came with go along in a token of ours, for the rules.
func TestClaimsOfOthersGoAlong(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.claims()
	c.Who.Claims = map[string]any{"iss": "https://ci.example", "ref": "refs/heads/main", "run": 7.0, "nested": map[string]any{"a": []any{"b"}}}
	got := wantGood(t, r.verifier, sign(t, r.keys, c, false))
	if diff := cmp.Diff(c.Who, got.Who); diff != "" {
		t.Error(diff)
	}
	for _, none := range []map[string]any{nil, {}} { // and never those of our own token
		c.Who.Claims = none
		if got := wantGood(t, r.verifier, sign(t, r.keys, c, false)); len(got.Who.Claims) > 0 {
			t.Errorf("claims %v, want none", got.Who.Claims)
		}
	}
	c.Who.Claims["bulk"] = strings.Repeat("x", 4<<10)
	if _, err := r.keys.Sign(c, false); err == nil || !strings.Contains(err.Error(), "more than 4096") {
		t.Errorf("error %v", err)
	}
}

// FuzzIDToken shows whatever an attacker may have as a token, and as its payload.
func FuzzIDToken(f *testing.F) {
	own := newECDSA(f)
	c := newClock()
	good, err := json.Marshal(c.payload())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a.b.c", good)
	f.Add("", []byte(`{"iss":"`+issuer+`","aud":["`+service+`"],"exp":1e9}`))
	f.Add("...", []byte(strings.Repeat(`{"a":`, 2000)))
	f.Add("eyJhbGciOiJub25lIn0..", []byte(`{"iss":"a","iss":"b"}`))
	v := &token.IDTokens{
		Issuer: issuer, Audiences: []string{service}, Keys: setOf("k", "ES256", own.Public()), Leeway: time.Minute, Now: c.Now,
		Identify: func(claims map[string]any) (access.Identity, error) {
			return access.Identity{User: fmt.Sprint(claims["sub"]), Claims: claims}, nil
		},
	}
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		if _, err := v.VerifyToken(t.Context(), text); err == nil {
			t.Fatalf("%q is good", text)
		}
		signed := forge(t, map[string]any{"alg": "ES256", "kid": "k"}, string(payload), es256(t, own))
		got, err := v.VerifyToken(t.Context(), signed)
		if !token.IsJWT(signed) && err == nil {
			t.Fatalf("%q has no form and is good", signed)
		}
		if err == nil && (got.Who.Claims["iss"] != issuer || got.Ceiling != nil) {
			t.Fatalf("%s is good: %+v", payload, got)
		}
	})
}
