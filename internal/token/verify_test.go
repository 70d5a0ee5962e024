package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/token"
)

func TestATokenOfOursIsTaken(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{token.ES256, token.RS256, token.EdDSA} {
		for _, chain := range []bool{false, true} {
			c := newClock()
			keys := openKeys(t, t.TempDir(), token.KeysOptions{Algorithm: alg, Now: c.Now})
			text := sign(t, keys, c.claims(), chain)
			v := verifierOf(c, keys)
			for range 2 { // then from memory
				got := wantGood(t, v, text)
				want := authn.Token{Who: alice(), Ceiling: access.Ceiling(c.claims().Access), Expires: c.claims().Expires}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, chain %v: %s", alg, chain, diff)
				}
			}
		}
	}
}

func TestATokenOfNobodyIsAnonymous(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.claims()
	c.Who, c.Access = access.Anonymous(), nil
	got := wantGood(t, r.verifier, sign(t, r.keys, c, false))
	want := authn.Token{Ceiling: access.NoRights(), Expires: c.Expires}
	if diff := cmp.Diff(want, got); diff != "" || got.Ceiling == nil {
		t.Errorf("%s; ceiling %#v", diff, got.Ceiling)
	}
}

// TestATokenMadeFromAKeyNamesIt: by itself it allows nothing.
func TestATokenMadeFromAKeyNamesIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, err := access.NewKey("abc", "laptop", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := r.claims()
	c.Who.With = key
	text := sign(t, r.keys, c, false)
	for range 2 { // then from memory
		got := wantGood(t, r.verifier, text)
		if got.Who.With == nil || got.Who.With.ID != "abc" {
			t.Fatalf("made with %+v", got.Who.With)
		}
		if d := access.SignedIn().Decide(access.Question{Who: got.Who, Scope: access.Scope{Action: access.Pull, Repo: "team/app"}}); d.Allowed {
			t.Errorf("%+v, though nobody has looked up the key", d)
		}
	}
	if got := wantGood(t, r.verifier, sign(t, r.keys, r.claims(), false)); got.Who.With != nil {
		t.Errorf("one made without a key has %+v", got.Who.With)
	}
}

func TestAForeignServerVouchesForSomebodyWithoutAName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.verifier.Source = "corp"
	c := r.claims()
	c.Who = access.Anonymous()
	got := wantGood(t, r.verifier, sign(t, r.keys, c, false))
	if diff := cmp.Diff(access.Identity{Source: "corp"}, got.Who); diff != "" || !got.Who.IsAnonymous() {
		t.Error(diff)
	}
}

func TestClaimsAreChecked(t *testing.T) {
	t.Parallel()
	c := newClock()
	own := newECDSA(t)
	v := verifierOf(c, setOf("ours", "ES256", own.Public()))
	header := map[string]any{"alg": "ES256", "kid": "ours"}
	at := func(d time.Duration) int64 { return c.Now().Add(d).Unix() }
	year := 365 * 24 * time.Hour
	cases := map[string]struct {
		change map[string]any // nil removes a claim
		want   string         // "" is a good token
	}{
		"as it is":                  {nil, ""},
		"wrong issuer":              {map[string]any{"iss": issuer + "/"}, "issuer"},
		"issuer in another case":    {map[string]any{"iss": strings.ToUpper(issuer)}, "issuer"},
		"no issuer":                 {map[string]any{"iss": nil}, "issuer"},
		"wrong audience":            {map[string]any{"aud": "other.example"}, "service"},
		"part of the audience":      {map[string]any{"aud": service + ".evil"}, "service"},
		"audiences in one string":   {map[string]any{"aud": "x " + service}, "service"},
		"no audience":               {map[string]any{"aud": nil}, "service"},
		"empty audience":            {map[string]any{"aud": ""}, "service"},
		"audiences, ours in it":     {map[string]any{"aud": []string{"x", service}}, ""},
		"audiences of others":       {map[string]any{"aud": []string{"x", "y"}}, "service"},
		"no audiences":              {map[string]any{"aud": []string{}}, "service"},
		"an audience of a number":   {map[string]any{"aud": 5}, ""},
		"no end":                    {map[string]any{"exp": nil}, "expires"},
		"an end that is null":       {map[string]any{"exp": json.RawMessage("null")}, "expires"},
		"an end that is text":       {map[string]any{"exp": "2099-01-01"}, "refused"},
		"an end with a fraction":    {map[string]any{"exp": float64(at(time.Minute)) + 0.5}, ""},
		"an end beyond all times":   {map[string]any{"exp": json.RawMessage("1e300")}, "refused"},
		"an end in the year 10000":  {map[string]any{"exp": json.RawMessage("253402300800")}, "exp is not a time"},
		"a negative end":            {map[string]any{"exp": -1}, "exp is not a time"},
		"ended over a year ago":     {map[string]any{"exp": at(-year - time.Hour)}, "a year ago"},
		"not valid yet":             {map[string]any{"nbf": at(2 * time.Minute)}, "not valid before"},
		"valid within the leeway":   {map[string]any{"nbf": at(30 * time.Second)}, ""},
		"issued in the future":      {map[string]any{"iat": at(2 * time.Minute)}, "in the future"},
		"issued within the leeway":  {map[string]any{"iat": at(30 * time.Second)}, ""},
		"neither nbf nor iat":       {map[string]any{"nbf": nil, "iat": nil}, ""},
		"a sub with a line break":   {map[string]any{"sub": "alice\nroot"}, "control"},
		"a sub that is long":        {map[string]any{"sub": strings.Repeat("a", 256)}, "longer"},
		"a sub that is a list":      {map[string]any{"sub": []string{"alice"}}, "refused"},
		"no claim of ours":          {map[string]any{"moorgate": nil}, "moorgate"},
		"a claim of ours as text":   {map[string]any{"moorgate": "x"}, "moorgate"},
		"groups that are no list":   {map[string]any{"moorgate": map[string]any{"source": "a", "groups": "b"}}, "moorgate"},
		"groups that are no texts":  {map[string]any{"moorgate": map[string]any{"source": "a", "groups": []any{1}}}, "moorgate"},
		"a key that is no text":     {map[string]any{"moorgate": map[string]any{"source": "a", "groups": []any{}, "key": 1}}, "moorgate"},
		"a key that is null":        {map[string]any{"moorgate": map[string]any{"source": "a", "groups": []any{}, "key": nil}}, "moorgate"},
		"a key without a name":      {map[string]any{"moorgate": map[string]any{"source": "a", "groups": []any{}, "key": ""}}, "moorgate"},
		"no source":                 {map[string]any{"moorgate": map[string]any{"groups": []any{}}}, "moorgate"},
		"access that is text":       {map[string]any{"access": "all"}, "refused"},
		"access of strange actions": {map[string]any{"access": []any{map[string]any{"type": "repository", "actions": "*"}}}, "refused"},
		"access without end":        {map[string]any{"access": make([]map[string]any, 257)}, "256 grants"},
		"actions without end":       {map[string]any{"access": []access.Grant{{Type: "repository", Name: "a", Actions: make([]string, 33)}}}, "32 actions"},
		"no access":                 {map[string]any{"access": nil}, ""},
	}
	for name, test := range cases {
		payload := c.payload()
		for claim, value := range test.change {
			if payload[claim] = value; value == nil {
				delete(payload, claim)
			}
		}
		text := forge(t, header, payload, es256(t, own))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "an audience of a number" {
				wantRefused(t, v, text, "")
				return
			}
			if test.want != "" {
				wantRefused(t, v, text, test.want)
				return
			}
			if got := wantGood(t, v, text); got.Ceiling == nil {
				t.Error("no ceiling")
			}
		})
	}
}

// A grant without a name would be one on the registry as a whole.
func TestGrantsOnNothingAreLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.claims()
	c.Access = []access.Grant{
		{Type: "registry", Actions: []string{"*"}},
		{Type: "repository", Actions: []string{"*"}},
		{Type: "cluster", Name: "x", Actions: []string{"*"}},
		{Type: "registry", Name: "catalog", Actions: []string{"*"}},
	}
	got := wantGood(t, r.verifier, sign(t, r.keys, c, false))
	if diff := cmp.Diff(access.Ceiling(c.Access[3:]), got.Ceiling); diff != "" {
		t.Error(diff)
	}
	if got.Ceiling.Covers(access.Scope{Action: access.Admin}) {
		t.Error("the token lets somebody administer the registry")
	}
}

func TestAnExpiredTokenIsKnownAsSuch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := sign(t, r.keys, r.claims(), false)
	wantGood(t, r.verifier, text) // it is remembered, and that must not keep it alive
	fresh := verifierOf(r.clock, r.keys)
	r.advance(5*time.Minute - time.Second)
	wantGood(t, r.verifier, text)
	for _, later := range []time.Duration{time.Second, 300 * 24 * time.Hour} {
		r.advance(later)
		for _, v := range []*token.Verifier{r.verifier, fresh} {
			got, err := v.VerifyToken(t.Context(), text)
			if !errors.Is(err, authn.ErrExpired) || errors.Is(err, authn.ErrNoMatch) {
				t.Fatalf("error %v", err)
			}
			if got.Who.User != "alice" || !got.Ceiling.Covers(access.Scope{Action: access.Push, Repo: "team/app"}) {
				t.Errorf("%+v", got)
			}
		}
	}
	r.advance(70 * 24 * time.Hour)
	wantRefused(t, r.verifier, text, "a year ago")
}

func TestAnExpiredTokenOfAStrangerIsNot(t *testing.T) {
	t.Parallel()
	c := newClock()
	own := newECDSA(t)
	v := verifierOf(c, setOf("ours", "ES256", own.Public()))
	p := c.payload()
	p["exp"] = c.Now().Add(-time.Minute).Unix()
	header := map[string]any{"alg": "ES256", "kid": "ours"}
	if _, err := v.VerifyToken(t.Context(), forge(t, header, p, es256(t, own))); !errors.Is(err, authn.ErrExpired) {
		t.Fatalf("error %v", err)
	}
	wantRefused(t, v, forge(t, header, p, es256(t, newECDSA(t))), "")
	p["aud"] = "other"
	wantRefused(t, v, forge(t, header, p, es256(t, own)), "service")
}

func TestARememberedTokenEndsWithItsKey(t *testing.T) {
	t.Parallel()
	c := newClock()
	own := newECDSA(t)
	set := setOf("ours", "ES256", own.Public())
	v := verifierOf(c, set)
	text := forge(t, map[string]any{"alg": "ES256", "kid": "ours"}, c.payload(), es256(t, own))
	wantGood(t, v, text)
	wantGood(t, v, text)

	key := set.keys["ours"]
	for name, now := range map[string]map[string]token.Key{
		"removed":           {},
		"another key":       {"ours": {ID: "ours", Algorithm: "ES256", Public: newECDSA(t).Public()}},
		"another algorithm": {"ours": {ID: "ours", Algorithm: "RS256", Public: key.Public}},
	} {
		set.keys = now
		t.Run(name, func(t *testing.T) { wantRefused(t, v, text, "") })
	}
	set.keys = map[string]token.Key{"ours": key}
	wantGood(t, v, text)

	set.err = errors.New("keys are out of reach")
	if _, err := v.VerifyToken(t.Context(), text); !errors.Is(err, set.err) || errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("error %v", err)
	}
}

func TestTokensOfOtherIssuersAskForNoKeys(t *testing.T) {
	t.Parallel()
	c := newClock()
	own := newECDSA(t)
	set := setOf("ours", "ES256", own.Public())
	p := c.payload()
	p["iss"] = "https://other.example"
	wantRefused(t, verifierOf(c, set), forge(t, map[string]any{"alg": "ES256", "kid": "ours"}, p, es256(t, own)), "issuer")
	if set.asks != 0 {
		t.Errorf("%d questions", set.asks)
	}
}

func TestAVerifierWithoutNamesTakesNothing(t *testing.T) {
	t.Parallel()
	c := newClock()
	own := newECDSA(t)
	p := c.payload()
	p["iss"], p["aud"] = "", ""
	text := forge(t, map[string]any{"alg": "ES256", "kid": "ours"}, p, es256(t, own))
	wantRefused(t, &token.Verifier{Keys: setOf("ours", "ES256", own.Public()), Now: c.Now}, text, "")
	p["iss"] = issuer
	text = forge(t, map[string]any{"alg": "ES256", "kid": "ours"}, p, es256(t, own))
	wantRefused(t, &token.Verifier{Issuer: issuer, Keys: setOf("ours", "ES256", own.Public()), Now: c.Now}, text, "")
}

func TestForeignTokensSpeakForTheirSource(t *testing.T) {
	t.Parallel()
	c := newClock()
	own := newECDSA(t)
	v := verifierOf(c, setOf("theirs", "ES256", own.Public()))
	v.Source = "ci"
	for name, test := range map[string]struct {
		groups any
		want   []string
	}{
		"a list of groups": {[]string{"a", "b"}, []string{"a", "b"}},
		"no groups":        {nil, nil},
		"one group":        {"a", nil},
		"strange groups":   {[]any{"a", 1}, nil},
	} {
		p := c.payload() // with a claim "moorgate", which must not count
		p["project"] = "team/app"
		p["moorgate"] = map[string]any{"source": "htpasswd", "groups": []string{"dev"}, "key": "abc"}
		if p["groups"] = test.groups; test.groups == nil {
			delete(p, "groups")
		}
		got := wantGood(t, v, forge(t, map[string]any{"alg": "ES256", "kid": "theirs"}, p, es256(t, own)))
		if got.Who.User != "alice" || got.Who.Source != "ci" || got.Who.Claims["project"] != "team/app" || got.Who.With != nil {
			t.Errorf("%s: %+v", name, got.Who)
		}
		if diff := cmp.Diff(test.want, got.Who.Groups); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestManyVerifyWhileKeysRotate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := sign(t, r.keys, r.claims(), false)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				c := r.claims()
				c.ID = fmt.Sprint(i, j%5)
				mine, err := r.keys.Sign(c, j%2 == 0)
				if err != nil {
					t.Error(err)
					return
				}
				for _, text := range []string{text, mine} {
					if _, err := r.verifier.VerifyToken(t.Context(), text); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			if _, err := r.keys.Rotate(); err != nil {
				t.Error(err)
			}
			r.advance(time.Second)
		}
	})
	wg.Wait()
}

// A signature costs hundreds of allocations, a memory hardly any. Not parallel: it
// counts them.
func TestASecondLookIsCheap(t *testing.T) {
	r := newRig(t)
	text := sign(t, r.keys, r.claims(), false)
	wantGood(t, r.verifier, text)
	if n := testing.AllocsPerRun(10, func() { wantGood(t, r.verifier, text) }); n > 30 {
		t.Errorf("%v allocations", n)
	}
}
