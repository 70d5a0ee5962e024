package e2e

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// peer is a registry of others, as it comes, in a process of its own.
type peer struct {
	Addr string // host:port, or the path of its socket

	dir     string
	command string
	config  section
	log     *sharedBuffer
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process has ended
}

// peerKind names a registry of others.
type peerKind string

const (
	registry2 peerKind = "registry 2.8"   // Debian's package docker-registry
	registry3 peerKind = "distribution 3" // a Go tool of this source tree
)

// peerKinds are all of them.
func peerKinds() []peerKind { return []peerKind{registry2, registry3} }

// section is a part of the configuration of a peer, as its YAML; JSON is YAML.
type section map[string]any

// startPeer runs a registry on a free port of the loopback until the end of the
// test. It stores files in a directory of its own, allows deletions, and takes
// the sections of config besides, which win.
func startPeer(t *testing.T, kind peerKind, config section) *peer {
	t.Helper()
	p := &peer{dir: t.TempDir(), command: "docker-registry"}
	if kind == registry3 {
		p.command = "distribution"
	}
	p.config = section{
		"version": "0.1",
		"http":    section{"addr": "127.0.0.1:0", "secret": "not one"},
		"storage": section{
			"filesystem": section{"rootdirectory": filepath.Join(p.dir, "content")},
			"delete":     section{"enabled": true},
		},
	}
	for name, part := range config {
		p.config[name] = part
	}
	p.start(t)
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("log of %s:\n%s", kind, p.log)
		}
	})
	return p
}

// restart ends the process and starts another one on the same content, at
// another port.
func (p *peer) restart(t *testing.T) {
	t.Helper()
	p.stop(t)
	p.start(t)
}

func (p *peer) start(t *testing.T) {
	t.Helper()
	file := filepath.Join(p.dir, "config.yml")
	writeFile(t, file, string(asJSON(t, p.config)))
	p.log, p.done = &sharedBuffer{}, make(chan struct{})
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program(t, p.command), "serve", file)
	// No REGISTRY_ variables, which would win, and no search for a collector of
	// traces.
	p.cmd.Env = []string{"PATH=" + searchPath(), "HOME=" + p.dir, "OTEL_TRACES_EXPORTER=none"}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := runBeside(p.cmd, p.done); err != nil {
		t.Fatal(err)
	}
	p.awaitListening(t)
}

// runBeside starts cmd, and closes done when it has ended.
func runBeside(cmd *exec.Cmd, done chan<- struct{}) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig means the death of this thread
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its log says why
			close(done)
		}
	}()
	return <-started
}

var peerListens = regexp.MustCompile(`msg="listening on ([^\s",]+)`)

// awaitListening waits until the log names the address.
func (p *peer) awaitListening(t *testing.T) {
	t.Helper()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if found := peerListens.FindStringSubmatch(p.log.String()); found != nil {
			p.Addr = found[1]
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s has ended before it listened:\n%s", p.command, p.log)
		case <-timeout.C:
			t.Fatalf("%s does not listen:\n%s", p.command, p.log)
		case <-tick.C:
		}
	}
}

// stop ends the process and waits. These registries have no state to save.
func (p *peer) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, syscall.ESRCH) {
		select {
		case <-p.done: // it had ended before
		default:
			t.Errorf("cannot end %s: %v", p.command, err)
			return
		}
	}
	<-p.done
}

// sawRequest fails the test unless the access log has a line with all of words.
func (p *peer) sawRequest(t *testing.T, words ...string) {
	t.Helper()
	if !awaitLine(p.log.String, words...) {
		t.Errorf("no request with %q in the log of %s", words, p.command)
	}
}

// sawNoRequest fails the test if the access log has a line with all of words.
func (p *peer) sawNoRequest(t *testing.T, words ...string) {
	t.Helper()
	if hasLine(p.log.String(), words...) {
		t.Errorf("a request with %q in the log of %s", words, p.command)
	}
}

// sharedBuffer is a bytes.Buffer for two goroutines.
type sharedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
