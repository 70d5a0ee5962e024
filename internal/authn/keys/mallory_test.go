package keys_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/keys"
)

// Mallory has a key of her own, and knows the ID of one of alice's.
func TestForgedKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice, own, ci := f.create(t, personal("alice", "laptop")), f.create(t, personal("mallory", "mine")), f.create(t, robot("ci"))
	writes := f.store.full.Load() + f.store.relaxed.Load()
	body := func(m keys.Made) string { return m.Secret[:len(m.Secret)-7] }
	secret := body(own)[20:]
	for what, tt := range map[string]struct{ user, key, why string }{
		"the ID of another with her secret": {"alice", withSum("mgk_" + alice.ID + secret), "has another secret"},
		"the ID of a robot":                 {"ci", withSum("mgk_" + ci.ID + secret), "has another secret"},
		"an ID that nobody has":             {"alice", withSum("mgk_" + strings.Repeat("a", 16) + secret), "there is no key"},
		"the name of another user":          {"alice", own.Secret, "and for no other"},
		"the name of a robot":               {"ci", own.Secret, "and for no other"},
		"a key of a robot, as a user":       {"alice", ci.Secret, "and for no other"},
		"a key of a robot, without a name":  {"", ci.Secret, "and for no other"},
		"another case of the name":          {"Alice", alice.Secret, "and for no other"},
		"a space behind the name":           {"alice ", alice.Secret, "and for no other"},
		"a pattern as name":                 {"%", alice.Secret, "and for no other"},
		"a huge name":                       {strings.Repeat("a", 1<<20), alice.Secret, ""},
		"only a prefix":                     {"alice", "mgk_", "form"},
		"truncated":                         {"alice", alice.Secret[:len(alice.Secret)-1], "form"},
		"truncated, with a sum":             {"alice", withSum(body(alice)[:len(body(alice))-1]), "form"},
		"without its sum":                   {"alice", body(alice), "form"},
		"extended":                          {"alice", alice.Secret + "a", "form"},
		"extended, with a sum":              {"alice", withSum(body(alice) + "a"), "form"},
		"a line behind":                     {"alice", alice.Secret + "\n", "form"},
		"a zero byte behind":                {"alice", alice.Secret + "\x00", "form"},
		"upper case":                        {"alice", strings.ToUpper(alice.Secret), "form"},
		"an upper case prefix":              {"alice", "MGK_" + alice.Secret[4:], "form"},
		"an upper case secret":              {"alice", withSum("mgk_" + alice.ID + strings.ToUpper(body(alice)[20:])), "form"},
		"a letter mistyped":                 {"alice", alice.Secret[:30] + other(alice.Secret[30]) + alice.Secret[31:], "mistyped"},
		"the sum mistyped":                  {"alice", alice.Secret[:66] + other(alice.Secret[66]), "mistyped"},
		"the secret mistyped, with a sum":   {"alice", withSum(body(alice)[:59] + other(body(alice)[59])), "has another secret"},
		"quotes of SQL":                     {"alice", withSum("mgk_' OR '1'='1' --" + strings.Repeat("a", 41)), "form"},
		"a pattern":                         {"alice", withSum("mgk_" + strings.Repeat("%", 16) + secret), "form"},
		"not UTF-8":                         {"alice", withSum("mgk_" + alice.ID[:15] + "\xff" + secret), "form"},
		"huge":                              {"alice", "mgk_" + strings.Repeat("a", 1<<20), "form"},
	} {
		f.refused(t, what, tt.user, tt.key, tt.why)
		if tt.why == "and for no other" || strings.HasSuffix(what, "name") {
			continue // a token has no user name
		}
		bearer, err := f.Bearer(nobody{}).VerifyToken(t.Context(), tt.key)
		f.isRefused(t, what+", as a token", tt.key, tt.why, bearer.Who, err, authn.ErrNoMatch)
	}
	for _, text := range []string{"", "mgk", " " + alice.Secret, "x" + alice.Secret, alice.Secret[4:], "mgr_" + alice.Secret[4:]} {
		if who, err := f.VerifyPassword(t.Context(), "alice", text); !errors.Is(err, authn.ErrNoMatch) || who.User != "" || f.Recognizes("alice", text) {
			t.Errorf("%.10q is no key: %v", text, err)
		}
	}
	f.works(t, "alice, after all that", "alice", alice.Secret)
	if got := f.store.full.Load() + f.store.relaxed.Load() - writes; got != 0 {
		t.Errorf("%d writes: a forged key must cost none", got)
	}
}

// other returns another letter.
func other(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

// TestKeysAreShownToNobodyElse: neither a right key nor a spoilt one.
func TestKeysAreShownToNobodyElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, personal("alice", "laptop"))
	asked := 0
	spy := passwordFunc(func() { asked++ })
	chain := authn.Chain(spy, f.Keys, spy)
	for _, key := range []string{made.Secret, made.Secret + "x", strings.ToUpper(made.Secret), "Mgk_", withSum("mgk_" + strings.Repeat("a", 56))} {
		_, _ = chain.VerifyPassword(t.Context(), "alice", key) // whatever comes of it
	}
	if asked != 0 {
		t.Errorf("%d keys were shown to others", asked)
	}
	if _, err := chain.VerifyPassword(t.Context(), "alice", "secret"); asked != 2 || !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("another password was shown to %d others, want 2: %v", asked, err)
	}
	b := f.Bearer(nobody{t})
	for _, key := range []string{made.Secret, made.Secret + "x", strings.ToUpper(made.Secret)} {
		_, _ = b.VerifyToken(t.Context(), key) // whatever comes of it
	}
}
