package lockout

import (
	"strings"
	"testing"
)

// FuzzFold: a name as it is listed is counted as the one that was typed, and no case
// or space makes another of it.
func FuzzFold(f *testing.F) {
	for _, name := range []string{"alice", " Alice ", "ａｌｉｃｅ", "\u0130stanbul", "stra\u00dfe", "a\u0301", "\ufdfa", "\xff\xfe", "\u1e9e", "\u03a3\u03c2", "a\u200b b", "\u2126", "\u0131", "\u017f"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		folded := fold(name)
		if again := fold(folded); again != folded {
			t.Errorf("%q is counted as %q, and that as %q", name, folded, again)
		}
		if len(folded) > maxName {
			t.Errorf("%q is counted under %d bytes", name, len(folded))
		}
		if len(name) > maxName/18 { // some characters become 18
			return
		}
		for _, variant := range []string{" " + name, name + "  ", strings.ToUpper(strings.ToLower(name))} {
			if got := fold(variant); got != fold(strings.ToLower(name)) && got != folded {
				t.Errorf("%q is counted as %q, %q as %q", variant, got, name, folded)
			}
		}
	})
}

// TestEveryCharacter asks the same of each character of the planes that have letters.
func TestEveryCharacter(t *testing.T) {
	t.Parallel()
	for r := rune(1); r <= 0x1ffff; r++ {
		name := string(r)
		folded := fold(name)
		if again := fold(folded); again != folded {
			t.Errorf("%q is counted as %q, and that as %q", name, folded, again)
		}
		if got := fold(strings.ToUpper(name)); got != folded {
			t.Errorf("%q in upper case is counted as %q, itself as %q", name, got, folded)
		}
	}
}
