package oidc

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"unicode"

	"github.com/moorgate/moorgate/internal/authn"
)

// FuzzClaims lets an attacker choose all claims of a token that an issuer signs for
// anybody. Whoever it becomes has a name that fits a line of a log, and is let in by
// require.
func FuzzClaims(f *testing.F) {
	i := newIssuer(f)
	c := i.config()
	c.Require = `claims.owner == "acme"`
	c.User = `"ci:" + claims.project.split("/")[0] + claims.sub`
	c.Groups = `has(claims.groups) ? claims.groups.map(g, "g:" + g) : []`
	s := open(f, c)
	for _, claims := range []map[string]any{github(), gitlab(), kubernetes(), {"owner": "acme", "project": "a/b", "groups": []any{"x", "y"}}, {"owner": []any{"acme"}}} {
		text, err := json.Marshal(claims)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"owner":"acme","owner":"mallory","project":"x"}`))
	f.Add([]byte(`{"owner":"acme","project":"x\u0000\u202e","groups":{"a":1}}`))
	base := i.claims(nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		var claims map[string]any
		if json.Unmarshal(text, &claims) != nil || claims == nil {
			return
		}
		for name := range maps.Keys(base) {
			if name != "sub" {
				claims[name] = base[name]
			}
		}
		who, err := s.VerifyPassword(t.Context(), "oidc", forge(t, map[string]any{"alg": "ES256", "kid": "e"}, claims, es256(t, i.ec)))
		if err != nil {
			if !errors.Is(err, authn.ErrNoMatch) || who.User != "" {
				t.Fatalf("%s: %+v, %v", text, who, err)
			}
			return
		}
		if claims["owner"] != "acme" {
			t.Fatalf("%s is let in", text)
		}
		for _, name := range append(who.Groups, who.User) {
			if len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name {
				t.Fatalf("%s is %+v", text, who)
			}
		}
	})
}
