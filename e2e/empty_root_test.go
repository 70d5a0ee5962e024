package e2e

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// TestTheBinaryNeedsNothingAroundIt runs it where there is nothing else, as in a
// container FROM scratch: no time zones, no authorities.
func TestTheBinaryNeedsNothingAroundIt(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("an empty root needs root: run the tests as root")
	}
	root, binary := t.TempDir(), testserver.Binary(t)
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	const policy = `access:
  rules:
    - {who: "user:alice", may: pull, repos: "**", when: 'request.time.getHours("Europe/Berlin") < 24'}
`
	for name, content := range map[string][]byte{"moorgate": program, "policy.yaml": []byte(policy)} {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/moorgate", "can", "alice", "pull", "team/app", "--config", "/policy.yaml")
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "yes") {
		t.Errorf("%v: %s", err, out)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == "golang.org/x/crypto/x509roots/fallback" }) {
		t.Error("the public authorities are not compiled in")
	}
}
