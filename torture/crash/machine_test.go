package crash

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is the computer of a user of crane and skopeo.
type machine struct {
	home    string
	crane   string
	skopeo  string
	timeout time.Duration // of one command
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{home: t.TempDir(), crane: program(t, "crane"), skopeo: program(t, "skopeo"), timeout: patience}
}

// program returns the path of a client: from .cache/bin of this source tree, else
// from PATH.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", ".cache", "bin", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		path, err = exec.LookPath(name)
	}
	if err != nil {
		t.Fatalf("%s is not on this machine: run make packages tools", name)
	}
	return path
}

// run runs a command whose words are what white space separates. An error has what it
// said.
func (m *machine) run(ctx context.Context, format string, args ...any) error {
	command := fmt.Sprintf(format, args...)
	words := strings.Fields(command)
	switch words[0] {
	case "crane":
		words[0] = m.crane
	case "skopeo":
		words[0] = m.skopeo
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Dir = m.home
	cmd.Env = []string{"HOME=" + m.home, "TMPDIR=" + m.home, "XDG_RUNTIME_DIR=" + m.home, "PATH=" + os.Getenv("PATH")}
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("$ %s\n%w\n%s", command, err, out)
	}
	return nil
}
