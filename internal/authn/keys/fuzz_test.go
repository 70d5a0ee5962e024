package keys_test

import (
	"errors"
	"testing"

	"github.com/moorgate/moorgate/internal/authn"
)

// FuzzVerify: nothing but the key itself opens the door, and nothing is a fault.
func FuzzVerify(f *testing.F) {
	fix := newFixture(f)
	made := fix.create(f, robot("ci"))
	for _, seed := range []string{"", "mgk_", made.Secret[:30], made.Secret + "a", withSum("mgk_" + made.ID + made.Secret[4:44]), "MGK_" + made.Secret[4:]} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		for _, key := range []string{text, "mgk_" + body, withSum("mgk_" + body), withSum("mgk_" + made.ID + body)} {
			who, err := fix.VerifyPassword(t.Context(), "ci", key)
			switch {
			case key == made.Secret:
			case err == nil || who.User != "":
				t.Errorf("%q opens the door", key)
			case !errors.Is(err, authn.ErrWrongPassword) && !errors.Is(err, authn.ErrNoMatch):
				t.Errorf("%q is a fault: %v", key, err)
			}
		}
	})
}
