package login_test

import (
	"context"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/oci"
)

// A secret where the name belongs is shown to no source, and is not on record.
func TestASecretIsNoUserName(t *testing.T) {
	t.Parallel()
	const id, long = "abcdefgh2345abcd", "abcdefghijklmnopqrstuvwxyz234567abcdefgh"
	for name, tt := range map[string]struct{ user, shown string }{
		"a key":                      {"mgk_" + id + long + "abcdefg", "mgk_…"},
		"a part of one":              {"mgk_" + id + "abcdef", "mgk_…"},
		"one in capital letters":     {"MGK_" + strings.ToUpper(id+long), "MGK_…"},
		"one after something else":   {" key=mgk_" + id + long, " key=mgk_…"},
		"a refresh token":            {"mgr_" + id + "_" + long, "mgr_…"},
		"the secret of a service":    {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_…"},
		"a token":                    {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "eyJ…"},
		"a token without its end":    {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOi", "eyJ…"},
		"two at once":                {"mgk_" + id + long + " mgr_" + id + "_" + long, "mgk_… mgr_…"},
		"the first part of a token":  {"eyJhbGciOiJIUzI1NiIsImtpZCI6", ""},
		"a user":                     {"alice", ""},
		"one with an unlucky name":   {"mgr_bartholomew.smithson", ""},
		"another":                    {"mgk_smith", ""},
		"one who is named as nobody": {"whsec_ops", ""},
	} {
		source := &slow{}
		d := newDesk(source)
		d.Delay = 0
		if _, err := d.from(t.Context(), "192.0.2.7", tt.user, "x"); kind(err) != oci.Unauthorized || len(d.trail) != 1 {
			t.Fatalf("%s: %v, records %+v", name, err, d.trail)
		}
		want, asked := tt.shown, int32(0)
		if want == "" {
			want, asked = tt.user, 1
		}
		if got := d.trail[0].Who.User; got != want || source.asked.Load() != asked {
			t.Errorf("%s: the record has %q, want %q; %d sources were asked, want %d", name, got, want, source.asked.Load(), asked)
		}
	}
}

// Whatever is typed as a name: what is on record has no form of a secret.
func FuzzNoSecretOnRecord(f *testing.F) {
	const secret = "abcdefgh2345abcdabcdefghijklmnopqrstuvwxyz"
	f.Add("", "")
	f.Add("mgk_", "@example.com")
	f.Add("mgk_mgk_", "mgr_")
	f.Add("eyJ", ".e30")
	f.Fuzz(func(t *testing.T, before, after string) {
		d := newDesk(&slow{})
		d.Delay = 0
		_, _ = d.from(context.Background(), "192.0.2.7", before+"mgk_"+secret+after, "x")
		for _, r := range d.trail {
			if strings.Contains(strings.ToLower(r.Who.User+r.Rule), secret) {
				t.Errorf("%q is on record as %+v", before+after, r)
			}
		}
	})
}
