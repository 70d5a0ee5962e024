package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// recipesTimeout bounds the run of all recipes.
const recipesTimeout = 5 * time.Minute

// recipes are the pages, and a line that the output of each must have.
var recipes = map[string]string{
	"basic-auth.md":     "Status: Image is up to date for myregistrydomain.com:5043/test:latest",
	"compose.md":        "hello from behind the gate",
	"delegated-auth.md": "Login Succeeded",
	"anonymous-read.md": "hello from behind the gate",

	"credential-helper.md": "Login Succeeded",
	"kubernetes.md":        `"username":"cluster-east"`,
}

// TestRecipes types each page of docs/recipes on a machine with a Docker engine
// of its own, each page in a new
// copy of this repository. The image registry:2 is made of Debian's program.
func TestRecipes(t *testing.T) {
	t.Parallel()
	testserver.Binary(t) // the moorgate in the PATH
	for _, name := range []string{"dockerd", "docker-compose", "docker-registry", "iptables"} {
		program(t, name)
	}
	dir := shortTempDir(t)
	writeRegistryImage(t, filepath.Join(dir, "registry"))
	for _, name := range []string{"etc", "containerd", "pages"} {
		mustMkdir(t, filepath.Join(dir, name))
	}
	writeFile(t, filepath.Join(dir, "hosts"), "127.0.0.1 localhost\n")
	found := 0
	for page := range recipes {
		name := strings.TrimSuffix(page, ".md")
		copied := copyRepository(t)
		script := recipeScript(t, filepath.Join(copied, "docs", "recipes"), page)
		typed(t, filepath.Join(copied, "server.*.log"), filepath.Join(dir, "pages", name), script)
		writeFile(t, filepath.Join(dir, "pages", name+".sh"), "cd "+copied+"\n"+script)
		found++
	}
	if pages, err := filepath.Glob("../docs/recipes/*.md"); err != nil || len(pages) != found+1 {
		t.Errorf("docs/recipes has %d pages, of which %d are tested: %v", len(pages), found+1, err)
	}
	runRecipes(t, dir)
	for page, want := range recipes {
		name := strings.TrimSuffix(page, ".md")
		t.Run(name, func(t *testing.T) {
			out := string(readFile(t, filepath.Join(dir, "pages", name+".log")))
			if !strings.Contains(out, "\n"+want+"\n") || !strings.HasSuffix(out, "\nthe page is done\n") {
				t.Errorf("the output lacks %q, or the page did not come to its end:\n%s", want, out)
			}
		})
	}
}

// recipesScript is the machine: it ends when all pages are done.
const recipesScript = enclosure + `
busybox ip link set lo up
mkdir -p /etc/docker /run/containerd
mount --bind "$0/etc" /etc/docker
mount --bind "$0/containerd" /run/containerd
mount --bind "$0/hosts" /etc/hosts
export DOCKER_HOST=unix://$0/docker.sock DOCKER_BUILDKIT=0
dockerd --data-root "$0/data" --exec-root "$0/exec" --pidfile "$0/pid" --host $DOCKER_HOST --storage-driver vfs >"$0/dockerd.log" 2>&1 &
engine=$!
for i in $(seq 300); do
	docker info >/dev/null 2>&1 && break
	kill -0 $engine
	sleep 0.1
done
docker build --quiet --tag registry:2 "$0/registry" 2>&1
for page in "$0"/pages/*.sh; do
	export HOME=${page%.sh}
	mkdir "$HOME"
	bash "$page" >"${page%.sh}.log" 2>&1 || echo "failed: $page"
	docker ps --all --quiet | xargs --no-run-if-empty docker rm --force >/dev/null
done
kill $engine
wait $engine || true
`

func runRecipes(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), recipesTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", recipesScript, dir)
	enclose(t, cmd)
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	// The caches of the go command are the machine's, all else is the test's.
	cmd.Env = append(os.Environ(), "PATH="+searchPath(), "HOME="+dir, "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil || strings.Contains(out.String(), "failed:") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// recipePrelude stands in for the person, and waits for what takes a moment.
const recipePrelude = `
set -euo pipefail
set -m # each server in a process group, so that it can be ended with its children
trap 'for job in $(jobs -p); do kill -TERM -- -$job || true; done; wait || true; tail -n +1 server.*.log 2>/dev/null || true' EXIT
set -x
docker() {
	if [[ $* == "login -u admin "* ]]; then # the first user, as the log of the container has shown it
		command docker "$@" --password-stdin < <(command docker logs own | sed -n 's/^ *password: //p')
	elif [[ $1 == login ]]; then command docker "$@" --password-stdin <<<"the password of $3"
	elif [[ "$*" == "rm --force own" ]]; then command docker logs own >server.own.log 2>&1; command docker "$@"
	else command docker "$@"; fi
}
docker-compose() { # what its containers have printed goes with them
	if [[ $3 == down ]]; then command docker-compose -f "$2" logs gate >server.gate.log 2>&1; fi
	command docker-compose "$@"
}
moorgate() {
	if [[ $1 == passwd ]]; then command moorgate "$@" <<<"the password of $4"; else command moorgate "$@"; fi
}
bin/moorgate() {
	if [[ $1 == passwd ]]; then command bin/moorgate "$@" <<<"the password of $4"; else command bin/moorgate "$@"; fi
}
attempt() { # waits until a command succeeds
	{ set +x; } 2>/dev/null
	for _ in $(seq 300); do
		if "$@" >/dev/null 2>&1; then set -x; return; fi
		sleep 0.1
	done
	echo "waited in vain: $*" >&2
	return 1
}
answers() { curl --silent --insecure "http://127.0.0.1:$1/v2/" || curl --silent --insecure "https://127.0.0.1:$1/v2/"; }
`

// recipeScript joins the commands of a page, behind those that all pages need.
func recipeScript(t *testing.T, dir, page string) string {
	t.Helper()
	var script strings.Builder
	script.WriteString(recipePrelude)
	servers := 0
	for _, block := range append(blocksOf(t, filepath.Join(dir, "README.md")), blocksOf(t, filepath.Join(dir, page))...) {
		port, waits := strings.CutPrefix(block.note, "waits for port ")
		switch {
		case block.note == "background":
			servers++
			log := fmt.Sprintf("server.%d.log", servers)
			fmt.Fprintf(&script, "command %s >%s 2>&1 &\nattempt grep -q msg=listening %s\n", strings.TrimSpace(block.text), log, log)
		case waits:
			fmt.Fprintf(&script, "%sattempt answers %s\n", block.text, port)
		case block.note == "works soon": // a person types more slowly than a file is read
			fmt.Fprintf(&script, "attempt %s\n", strings.TrimSpace(block.text))
		default:
			script.WriteString(refusals.ReplaceAllString(block.text, "if $1; then echo 'not refused: $1' >&2; exit 1; fi"))
		}
	}
	script.WriteString("{ set +x; } 2>/dev/null\ntrap - EXIT\nfor job in $(jobs -p); do kill -TERM -- -$job; done\nwait\necho 'the page is done'\n")
	return script.String()
}

// writeRegistryImage makes the context of an image like registry:2, of Debian's
// program and the libraries that it needs.
func writeRegistryImage(t *testing.T, dir string) {
	t.Helper()
	binary := program(t, "docker-registry")
	out, err := exec.CommandContext(t.Context(), "ldd", binary).Output()
	if err != nil {
		t.Fatalf("ldd %s: %v", binary, err)
	}
	files := []string{binary}
	for _, word := range strings.Fields(string(out)) {
		if filepath.IsAbs(word) {
			files = append(files, word)
		}
	}
	for _, file := range files {
		to := filepath.Join(dir, "root", file)
		mustMkdir(t, filepath.Dir(to))
		if err := os.WriteFile(to, readFile(t, file), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "config.yml"), "version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: ':5000'}\n")
	writeFile(t, filepath.Join(dir, "Dockerfile"), fmt.Sprintf("FROM scratch\nCOPY root /\nCOPY config.yml /config.yml\n"+
		"VOLUME /var/lib/registry\nEXPOSE 5000\nENTRYPOINT [%q, \"serve\", \"/config.yml\"]\n", binary))
}

func mustMkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}
