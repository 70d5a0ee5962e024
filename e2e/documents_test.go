package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// documentsTimeout bounds the run of all commands of the documents; the first
// of them compiles the program, and another one a test.
const documentsTimeout = 10 * time.Minute

// TestDocuments types what the README and the pages below docs/ say, in their
// order, in one shell, in a copy of this repository. Passwords are typed where
// a command asks for one, and the two ports are free ones.
func TestDocuments(t *testing.T) {
	t.Parallel()
	engine := startEngine(t)
	m := engine.plainMachine(t, "")
	dir := copyRepository(t)
	script := documentScript(t, dir)
	typed(t, filepath.Join(dir, "server.*.log"), m.home, script)
	ctx, cancel := context.WithTimeout(t.Context(), documentsTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = dir
	// The caches of the go command are the machine's, all else is the test's.
	cmd.Env = append(os.Environ(), append(m.env, "HOME="+m.home, "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"))...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"hello from behind the gate", "alice is let in", "examples/private.yaml: ok"} {
		if !strings.Contains(out.String(), "\n"+want+"\n") {
			t.Errorf("the output has no line %q:\n%s", want, out.String())
		}
	}
}

// typed has what the servers of a script write searched for secrets at the end of the
// test, with the passwords that it types, those that servers show at their first start,
// and what clients keep in the home directory. logs is a pattern
// of their logs.
func typed(t *testing.T, logs, home, script string) {
	t.Helper()
	for _, m := range typedNames.FindAllStringSubmatch(script, -1) {
		testserver.Secret("the password of " + m[1])
	}
	if strings.Contains(script, "server.1.log") || strings.Contains(script, "\ndocker rm ") {
		testserver.Written(t, logs)
	}
	t.Cleanup(func() {
		learnStores(t, home)
		files, err := filepath.Glob(logs)
		if err != nil {
			t.Error(err)
		}
		for _, file := range files {
			learnShown(readFile(t, file))
		}
	})
}

// typedNames finds who signs in: the preludes give each of them a password.
var typedNames = regexp.MustCompile(`(?:passwd add \S+|login -u) ([a-z][a-z0-9-]*)`)

var shownPassword = regexp.MustCompile(`(?m)^ +password: (\S+)$`)

// learnShown notes the passwords that a server shows at its first start.
func learnShown(log []byte) {
	for _, m := range shownPassword.FindAllSubmatch(log, -1) {
		testserver.Secret(string(m[1]))
	}
}

// prelude stands in for the person: it types passwords and starts servers in a
// terminal of their own.
const prelude = `
set -euo pipefail
set -m # each server in a process group, so that it can be ended with its children
trap 'for job in $(jobs -p); do kill -TERM -- -$job || true; done; wait || true; tail -n +1 server.*.log' EXIT
docker() {
	if [[ $1 == login ]]; then command docker "$@" --password-stdin <<<"$PASSWORD"; else command docker "$@"; fi
}
moorgate() {
	if [[ $1 == passwd ]]; then command moorgate "$@" <<<"the password of ${4-}"; else command moorgate "$@"; fi
}
listening() { # waits until the server just started, with this log, listens
	local server=$!
	for _ in $(seq 3000); do
		grep -q msg=listening "$1" && return
		kill -0 $server || return 1
		sleep 0.1
	done
	echo "the server does not listen" >&2
	return 1
}
`

// afterwards looks at what the commands have made.
const afterwards = `
curl --silent --fail --cacert certs/ca.crt --user "alice:the password of alice" https://localhost:%s/v2/ >/dev/null
echo "alice is let in"
`

// documentScript joins the commands of all documents.
func documentScript(t *testing.T, dir string) string {
	t.Helper()
	ports := map[string]string{"127.0.0.1:5000": "127.0.0.1:" + freePort(t), ":5043": ":" + freePort(t)}
	var script strings.Builder
	fmt.Fprintf(&script, "%s\nexport MOORGATE_LISTEN=%s PASSWORD=\n", prelude, ports["127.0.0.1:5000"])
	servers := 0
	for _, block := range readBlocks(t, dir) {
		for from, to := range ports {
			block.text = strings.ReplaceAll(block.text, from, to)
		}
		switch block.note {
		case "by CI itself": // it is what runs this test
			if block.text != "make test\n" {
				t.Errorf("not run by anything: %s", block.text)
			}
		case "background":
			servers++
			log := fmt.Sprintf("server.%d.log", servers)
			fmt.Fprintf(&script, "command %s >%s 2>&1 &\nlistening %s\n", strings.TrimSpace(block.text), log, log)
			fmt.Fprintf(&script, "PASSWORD=${PASSWORD:-$(sed -n 's/^ *password: //p' %s)}\n", log)
		default:
			script.WriteString(refusals.ReplaceAllString(block.text, "if $1; then echo 'not refused: $1' >&2; exit 1; fi"))
		}
	}
	if servers == 0 {
		t.Error("no server in any document")
	}
	fmt.Fprintf(&script, afterwards, strings.TrimPrefix(ports[":5043"], ":"))
	return script.String()
}

// refusals are lines with commands that must fail: bash -e lets "! command"
// pass in either case.
var refusals = regexp.MustCompile(`(?m)^! (.*)$`)

// block is a piece of shell in a document.
type block struct {
	note string // of a comment before it: <!-- test: NOTE -->
	text string
}

var shellBlocks = regexp.MustCompile("(?s)(?:<!-- test: ([^\n]*) -->\n)?```sh\n(.*?)```\n")

// readBlocks reads the shell blocks of the README, then those of docs/.
func readBlocks(t *testing.T, dir string) []block {
	t.Helper()
	files := []string{filepath.Join(dir, "README.md")}
	err := filepath.WalkDir(filepath.Join(dir, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "recipes" {
			return fs.SkipDir // each of its pages begins anew: TestRecipes
		}
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, file := range files {
		blocks = append(blocks, blocksOf(t, file)...)
	}
	return blocks
}

// blocksOf reads the shell blocks of one document.
func blocksOf(t *testing.T, file string) []block {
	t.Helper()
	var blocks []block
	for _, match := range shellBlocks.FindAllStringSubmatch(string(readFile(t, file)), -1) {
		blocks = append(blocks, block{note: match[1], text: match[2]})
	}
	return blocks
}

// copyRepository copies the files of this repository, as they are now.
func copyRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("cannot list the files of the repository: %v", err)
	}
	for _, name := range slices.Compact(strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")) {
		content, err := os.ReadFile(filepath.Join("..", name))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// freePort returns a port that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
