package front

import (
	"log/slog"
	"net/textproto"
	"strings"
	"testing"
	"unicode"
)

// FuzzHeaders sends a header more through a proxy that has let bob in. Whatever it is,
// he is bob, or nobody.
func FuzzHeaders(f *testing.F) {
	c := Default()
	c.From, c.Groups = []string{proxy}, groups
	s, err := Open("front", c, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{user, "X_Forwarded_User", "x-forwarded_user", "X.Forwarded-User", groups, "X_Forwarded_Groups", word, "Accept"} {
		f.Add(seed, "alice")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		a := from(proxy, user, "bob")
		name = textproto.CanonicalMIMEHeaderKey(name)
		a.Header[name] = append(a.Header[name], value)
		who, err := s.VerifyArrival(t.Context(), a)
		if err == nil && (who.User != "bob" || name == user) || err != nil && who.User != "" {
			t.Errorf("with %q: %q he is %+v, %v", name, value, who, err)
		}
		if name != groups && len(who.Groups) > 0 {
			t.Errorf("with %q: %q he is in %q", name, value, who.Groups)
		}
		said := from(proxy, user, value)
		if who, err := s.VerifyArrival(t.Context(), said); err == nil && (who.User != value || strings.ContainsFunc(value, func(r rune) bool { return r == ',' || !unicode.IsPrint(r) })) {
			t.Errorf("%q is let in as %q", value, who.User)
		}
	})
}
