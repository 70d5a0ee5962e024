package access_test

import (
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"alice": true, "Ünï côdé": true, "repo:org/app:ref:refs/heads/main": true, "a b": true, strings.Repeat("a", 64): true,
		"": false, " a": false, "a ": false, "a\nb": false, "a\x00": false, "a\x7f": false, "a\u200bb": false, "a\u202eb": false,
		"a\xff": false, "a\ufffd": false, "\u00a0a": false, strings.Repeat("a", 65): false,
	} {
		if err := access.CheckName(name, 64); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
