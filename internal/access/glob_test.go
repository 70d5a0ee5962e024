package access

import (
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/oci"
)

// FuzzRepositoryName: the quick check of names and that of package oci agree.
func FuzzRepositoryName(f *testing.F) {
	for _, s := range []string{"", "a", "team/app", "a__b/c---d.e", "a___b", "a._b", "..", "a//b", "/a", "a/", "A", "a-", "-a", "ä", strings.Repeat("a", 256)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		valid := oci.CheckRepository(s) == nil
		if isRepository(s) != valid {
			t.Errorf("isRepository(%q) = %v", s, !valid)
		}
		if own := ownName(s); (own == s && s != "") != (valid && !strings.Contains(s, "/")) {
			t.Errorf("ownName(%q) = %q", s, own)
		}
	})
}

// TestMatchingTakesNoLongTime: a pattern and a name that many matchers need
// exponential time for.
func TestMatchingTakesNoLongTime(t *testing.T) {
	t.Parallel()
	g, err := readGlob(strings.TrimSuffix(strings.Repeat("**/a/", 60), "/") + "/b")
	if err != nil {
		t.Fatal(err)
	}
	if matchParts(g.parts, strings.TrimSuffix(strings.Repeat("a/", 120), "/"), "") {
		t.Error("it matches")
	}
	if !matchParts(g.parts, strings.Repeat("a/", 60)+"b", "") {
		t.Error("it does not match")
	}
}
