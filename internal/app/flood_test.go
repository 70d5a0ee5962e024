package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
)

// Who has no password cannot fill the audit: what they are refused has so many lines,
// and one that says how many more there were.
func TestFloodOfBadTokens(t *testing.T) {
	t.Parallel()
	const n = 500
	file := filepath.Join(t.TempDir(), "audit.log")
	s := start(t, audited(usersFile(t, "the password of alice"), "{file: {path: "+file+"}}"))
	mallory := newClient(t, s, nil)
	for range n {
		mallory.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/team/app/tags/list", nil, "Authorization", "Bearer nonsense")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	lines, more := 0, 0
	for _, r := range auditLines(t, readFile(t, file)) {
		switch {
		case r.Operation == "login-flood":
			var k int
			if _, err := fmt.Sscan(r.Detail, &k); err != nil || r.Client != "127.0.0.1" {
				t.Errorf("%v: %+v", err, r)
			}
			more += k
		case r.Outcome == "login-failed":
			lines++
		}
	}
	if lines+more != n || more == 0 || lines < 60 {
		t.Errorf("%d lines, and %d more, of %d", lines, more, n)
	}
}
