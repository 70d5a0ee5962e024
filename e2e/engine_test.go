package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// engine is a Docker engine of the tests' own.
type engine struct {
	dir    string       // all its state, with a short path: a socket is in it
	detour *detour      // its way to addresses that are not here
	log    bytes.Buffer // read after done
	cmd    *exec.Cmd
	done   chan struct{} // closed when the engine has ended
}

// engineScript runs the engine where /etc/docker is the tests' (the engine has
// no option for the directory of certificate authorities) and no other
// containerd is found, until it gets a SIGTERM.
const engineScript = enclosure + `
mkdir -p /etc/docker /run/containerd
mount --bind "$0/etc" /etc/docker
mount --bind "$0/containerd" /run/containerd
dockerd --data-root "$0/data" --exec-root "$0/exec" --pidfile "$0/pid" --host "unix://$0/docker.sock" \
	--storage-driver vfs --bridge none --iptables=false --ip6tables=false &
trap "kill $!" TERM
while kill -0 $! 2>/dev/null; do
	wait $! || true
done
`

// startTimeout bounds the start and the end of the engine.
const startTimeout = time.Minute

// startEngine runs a Docker engine until the end of the test.
func startEngine(t *testing.T) *engine {
	t.Helper()
	program(t, "dockerd")
	e := &engine{dir: shortTempDir(t), detour: startDetour(t), done: make(chan struct{})}
	for _, name := range []string{"etc", "containerd"} {
		if err := os.Mkdir(filepath.Join(e.dir, name), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	e.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", engineScript, e.dir)
	e.cmd.Env = []string{"PATH=" + searchPath(), "HOME=" + e.dir, "HTTPS_PROXY=" + e.detour.URL, "HTTP_PROXY=" + e.detour.URL}
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	enclose(t, e.cmd)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig means the death of this thread
		defer runtime.UnlockOSThread()
		err := e.cmd.Start()
		started <- err
		if err == nil {
			_ = e.cmd.Wait() // the log says why
			close(e.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.stop(t) })
	e.awaitReady(t)
	return e
}

func (e *engine) awaitReady(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(e.dir, "docker.sock"))
		},
	}}
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ping(t, client) {
			return
		}
		select {
		case <-e.done:
			t.Fatal("the Docker engine does not start")
		case <-deadline.C:
			t.Fatal("the Docker engine is not ready")
		case <-tick.C:
		}
	}
}

func ping(t *testing.T, client *http.Client) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the engine and waits; it ends its containerd itself.
func (e *engine) stop(t *testing.T) {
	t.Helper()
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-e.done:
	case <-time.After(startTimeout):
		t.Error("the Docker engine is still running after SIGTERM")
		_ = e.cmd.Process.Kill() // and all that runs with it
		<-e.done
	}
	if t.Failed() {
		t.Logf("log of the Docker engine:\n%s", e.log.String())
	}
}

// machine returns a machine with this engine, on which $REG is reg, at the
// address of a machine elsewhere.
func (e *engine) machine(t *testing.T, reg *registry) *machine {
	t.Helper()
	_, port, err := net.SplitHostPort(reg.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return e.plainMachine(t, net.JoinHostPort(awayIP, port))
}

// plainMachine returns a machine with this engine, on which $REG is addr.
func (e *engine) plainMachine(t *testing.T, addr string) *machine {
	t.Helper()
	m := newMachine(t)
	m.vars["REG"] = addr
	// The builder without BuildKit is the one that needs no other package.
	m.env = append(m.env, "DOCKER_HOST=unix://"+filepath.Join(e.dir, "docker.sock"), "DOCKER_BUILDKIT=0")
	return m
}

// trust makes the engine trust the registry at addr, as /etc/docker/certs.d
// does; the engine reads it at each connection.
func (e *engine) trust(t *testing.T, addr string, reg *registry) {
	t.Helper()
	dir := filepath.Join(e.dir, "etc", "certs.d", addr)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "ca.crt"), string(readFile(t, reg.ca)))
}

// shortTempDir is t.TempDir with a path short enough for a socket (108 bytes).
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // its path would be too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// detour is an HTTP proxy that leads connections to awayIP to the same port of
// this machine, and no others anywhere.
type detour struct{ *httptest.Server }

func startDetour(t *testing.T) *detour {
	t.Helper()
	d := &detour{httptest.NewServer(http.HandlerFunc(connect))}
	t.Cleanup(d.Close)
	return d
}

func connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || r.Method != http.MethodConnect || host != awayIP {
		http.Error(w, "no way to "+r.Host, http.StatusBadGateway)
		return
	}
	server, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close() //nolint:errcheck // the end of the detour
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close() //nolint:errcheck // the end of the detour
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(client, server) // ends when either side closes
		_ = client.Close()
	}()
	_, _ = io.Copy(server, buffered)
	_ = server.Close()
	<-back
}
