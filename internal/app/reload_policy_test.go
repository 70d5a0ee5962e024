package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// rules is a configuration with one rule of access.
func rules(rule string) string { return "access:\n  rules:\n    - " + rule + "\n" }

const (
	aliceMayPush = `{who: user:alice, may: [pull, push], repos: "team/**"}`
	nobodyMay    = `{who: user:nobody, may: pull, repos: "**"}`
)

// mayPush reports whether the client can begin an upload in team/app.
func (c *client) mayPush(t *testing.T, headers ...string) bool {
	t.Helper()
	return c.do(t, http.MethodPost, "/v2/team/app/blobs/uploads/", nil, headers...).status == http.StatusAccepted
}

func TestPolicyChangesWhileServing(t *testing.T) {
	t.Parallel()
	bothRoles(t, func(t *testing.T, run func(args ...string) *testserver.Server) {
		t.Helper()
		file := write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), rules(aliceMayPush))
		s := run("--config", file)
		nobody := newClient(t, s, nil)
		alice := nobody.as("alice", "the password of alice")
		token := nobody.token(t, "alice", "repository:team/app:push")
		if !alice.mayPush(t) || !nobody.mayPush(t, "Authorization", "Bearer "+token) {
			t.Fatal("alice may not push at first")
		}

		write(t, file, rules(nobodyMay))
		logged(t, s, "level=INFO", "reloaded policy", file)
		if alice.mayPush(t) {
			t.Error("alice pushes after the right is gone")
		}
		if nobody.mayPush(t, "Authorization", "Bearer "+token) {
			t.Error("alice's token is more than the policy")
		}

		write(t, file, rules(aliceMayPush))
		eventually(t, "alice to get her right back", func() bool { return alice.mayPush(t) })

		// What cannot be read changes nothing, and the log says where it is wrong.
		const kept = "cannot reload policy: the last good one stays in force"
		write(t, file, rules(aliceMayPush)+"    - {who: user:bob, may: fly, repos: \"bad[\"}\n")
		logged(t, s, "level=ERROR", kept, "line 4: access.rules[1].may", "line 4: access.rules[1].repos")
		if !alice.mayPush(t) {
			t.Error("a bad file takes alice's right away")
		}
		for _, lost := range []string{"", "access:\n", "log: {level: info}\n"} { // nothing more is let in either
			before := strings.Count(s.Log(), kept)
			write(t, file, lost)
			eventually(t, "the loss to be told", func() bool { return strings.Count(s.Log(), kept) > before })
			if alice.do(t, http.MethodPost, "/v2/other/app/blobs/uploads/", nil).status == http.StatusAccepted {
				t.Errorf("with %q in the file alice pushes where no rule lets her", lost)
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		logged(t, s, "level=ERROR", kept, "no such file")
		if !alice.mayPush(t) {
			t.Error("a missing file takes alice's right away")
		}
	})
}

func TestHangupReloadsThePolicy(t *testing.T) {
	t.Parallel()
	bothRoles(t, func(t *testing.T, run func(args ...string) *testserver.Server) {
		t.Helper()
		file := write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), rules(aliceMayPush))
		s := run("--config", file)
		for range 2 { // the second one as well
			before := strings.Count(s.Log(), "reloaded policy")
			if err := s.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the reload", func() bool { return strings.Count(s.Log(), "reloaded policy") > before })
		}
		if !newClient(t, s, nil).as("alice", "the password of alice").mayPush(t) {
			t.Error("alice may not push")
		}
	})
}

// The rest of the file counts from the next start on, and nobody is left to guess.
func TestOnlyThePolicyOfTheFileIsReloaded(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), rules(aliceMayPush))
	s := start(t, "", "--config", file, "--htpasswd", passwordFile(t, "alice"))
	write(t, file, rules(nobodyMay)+"token: {ttl: 1m}\n")
	logged(t, s, "level=WARN", "the rest counts from the next start on", file)
	if newClient(t, s, nil).as("alice", "the password of alice").mayPush(t) {
		t.Error("the rules of the new file are not in force")
	}
}
