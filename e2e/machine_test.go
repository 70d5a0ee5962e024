package e2e

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandTimeout bounds one command of a client.
const commandTimeout = 2 * time.Minute

// machine is the computer of a user: a home directory of its own, and the
// names that stand for words of its commands.
type machine struct {
	home string
	vars map[string]string // $NAME in a command, without the "$"
	env  []string          // what the commands get besides HOME and PATH

	enclosed bool // each command runs in namespaces of its own
}

// newMachine returns a machine that nobody has used before. The path of its home
// is short: podman waits 20 s for the end of a container whose path is long.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{home: shortTempDir(t), vars: map[string]string{}}
	m.env = []string{"TMPDIR=" + m.mkdir(t, "tmp"), "XDG_RUNTIME_DIR=" + m.mkdir(t, "run")}
	return m
}

// machine returns a new machine that knows the registry as $REG and its
// certificate authority as the file $CA.
func (r *registry) machine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.vars["REG"], m.vars["CA"] = r.Addr, r.ca
	return m
}

// run runs one command and returns its standard output without the white
// space around it. A command that fails, fails the test.
func (m *machine) run(t *testing.T, command string) string {
	t.Helper()
	return strings.TrimSpace(string(m.bytes(t, command)))
}

// bytes is run for an output whose every byte counts.
func (m *machine) bytes(t *testing.T, command string) []byte {
	t.Helper()
	var out bytes.Buffer
	m.stream(t, nil, &out, command)
	return out.Bytes()
}

// runWith is run with input on standard input: the way to give a password.
func (m *machine) runWith(t *testing.T, input, command string) string {
	t.Helper()
	var out bytes.Buffer
	m.stream(t, strings.NewReader(input), &out, command)
	return strings.TrimSpace(out.String())
}

// stream runs one command from in to out.
func (m *machine) stream(t *testing.T, in io.Reader, out io.Writer, command string) {
	t.Helper()
	var stderr bytes.Buffer
	if err := m.exec(t, in, out, &stderr, command); err != nil {
		t.Fatalf("$ %s\n%v\n%s%s", command, err, text(out), stderr.String())
	}
}

// refused runs a command that must fail and say because, in any case.
func (m *machine) refused(t *testing.T, because, command string) {
	t.Helper()
	m.refusedWith(t, "", because, command)
}

// refusedWith is refused with input on standard input.
func (m *machine) refusedWith(t *testing.T, input, because, command string) {
	t.Helper()
	var out bytes.Buffer
	err := m.exec(t, strings.NewReader(input), &out, &out, command)
	if err == nil {
		t.Fatalf("$ %s\nsucceeded, want a refusal\n%s", command, out.String())
	}
	if !strings.Contains(strings.ToLower(out.String()), strings.ToLower(because)) {
		t.Fatalf("$ %s\n%v, but it does not say %q\n%s", command, err, because, out.String())
	}
}

// exec runs one command, whose words are what white space separates.
func (m *machine) exec(t *testing.T, in io.Reader, out, stderr io.Writer, command string) error {
	t.Helper()
	words := strings.Fields(command)
	for i, word := range words {
		words[i] = os.Expand(word, func(name string) string {
			value, ok := m.vars[name]
			if !ok {
				t.Fatalf("$ %s\n$%s is not set", command, name)
			}
			return value
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	words[0] = program(t, words[0])
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if m.enclosed {
		cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", enclosure + `"$0" "$@"; exit $?`}, words...)...)
		enclose(t, cmd)
	}
	cmd.Dir = m.home
	cmd.Env = append([]string{"HOME=" + m.home, "PATH=" + searchPath()}, m.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	m.learn(t, in, command)
	return err
}

// write puts a file into the home directory and returns its path.
func (m *machine) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(m.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mkdir makes a directory in the home directory and returns its path.
func (m *machine) mkdir(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(m.home, name)
	if err := os.MkdirAll(path, 0o750); err != nil {
		t.Fatal(err)
	}
	return path
}

// program returns the path of a client: from .cache/bin of this source tree,
// else from PATH. One that is a path already is that.
func program(t *testing.T, name string) string {
	t.Helper()
	if filepath.IsAbs(name) {
		return name
	}
	for _, dir := range filepath.SplitList(searchPath()) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	t.Fatalf("%s is not on this machine: run make tools", name)
	return ""
}

// searchPath is PATH with the tools of this source tree before, and the
// directories of the system's daemons after.
func searchPath() string {
	tools, err := filepath.Abs(filepath.Join("..", ".cache", "bin"))
	if err != nil {
		tools = ""
	}
	return strings.Join([]string{tools, os.Getenv("PATH"), "/usr/sbin", "/sbin"}, string(os.PathListSeparator))
}

// text returns what a bytes.Buffer holds, nothing for another writer.
func text(w io.Writer) string {
	if b, ok := w.(*bytes.Buffer); ok {
		return b.String()
	}
	return ""
}
