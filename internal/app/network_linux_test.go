package app_test

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/moorgate/moorgate/internal/testserver"
)

// away is an address of the test network that is not one of the loopback
// (RFC 5737).
const away = "192.0.2.10"

// network is a network of its own, in which the loopback has also the address
// away: what listens there on all addresses is open to nobody else.
type network struct {
	do chan func()
}

// newNetwork makes a network. A thread of this process lives in it, and ends
// with the test.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{do: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread goes with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		if err == nil {
			err = configureLoopback()
		}
		made <- err
		for f := range n.do {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatalf("cannot make a network namespace: %v; this test needs root and CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN, or --privileged)", err)
	}
	t.Cleanup(func() { close(n.do) })
	return n
}

// run calls f inside the network and waits for it.
func (n *network) run(f func()) {
	done := make(chan struct{})
	n.do <- func() {
		defer close(done)
		f()
	}
	<-done
}

// ifreq is struct ifreq of netdevice(7) with an IPv4 address, or flags, in it.
type ifreq struct {
	name   [syscall.IFNAMSIZ]byte
	family uint16 // or the flags
	port   uint16
	addr   [4]byte
	_      [16]byte
}

// configureLoopback brings lo up and gives it a second address.
func configureLoopback() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd) //nolint:errcheck // nothing was written
	up := ifreq{family: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(up.name[:], "lo")
	if err := ioctl(fd, syscall.SIOCSIFFLAGS, &up); err != nil {
		return err
	}
	second := ifreq{family: syscall.AF_INET}
	copy(second.name[:], "lo:1")
	copy(second.addr[:], net.ParseIP(away).To4())
	return ioctl(fd, syscall.SIOCSIFADDR, &second)
}

func ioctl(fd int, request uintptr, arg *ifreq) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
		return errno
	}
	return nil
}

// start runs a server inside the network.
func (n *network) start(t *testing.T, args ...string) *testserver.Server {
	t.Helper()
	var s *testserver.Server
	var err error
	n.run(func() { s, err = testserver.TryStart(t, args...) })
	if err != nil {
		t.Fatalf("moorgate serve %s: %v\n%s", strings.Join(args, " "), err, s.Log())
	}
	return s
}

// client returns a client inside the network that reaches the server at one of
// its addresses.
func (n *network) client(t *testing.T, s *testserver.Server, host string) *client {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	scheme, _, _ := strings.Cut(s.URL, ":")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, protocol, addr string) (conn net.Conn, err error) {
			n.run(func() { conn, err = (&net.Dialer{}).DialContext(ctx, protocol, addr) })
			return conn, err
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{http: &http.Client{Transport: transport}, url: scheme + "://" + net.JoinHostPort(host, port)}
}

func TestPlainPasswordsBehindAProxy(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	config := "trusted_proxies: [127.0.0.1]\nlogin:\n  - htpasswd: {file: " + usersFile(t, "secret") + "}\n"
	s := n.start(t, withConfig(t, config, []string{"--listen", ":0"})...)
	https := []string{"X-Forwarded-Proto", "https", "X-Forwarded-For", "203.0.113.7"}
	for name, test := range map[string]struct {
		host    string
		headers []string
		status  int
	}{
		"a client, plain":                     {away, nil, http.StatusForbidden},
		"a client that claims to be a proxy":  {away, https, http.StatusForbidden},
		"the proxy, for a client with TLS":    {"127.0.0.1", https, http.StatusOK},
		"the proxy, for a client without TLS": {"127.0.0.1", []string{"X-Forwarded-Proto", "http"}, http.StatusForbidden},
		"the proxy, saying nothing":           {"127.0.0.1", nil, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			c := n.client(t, s, test.host)
			// Where no password is taken, none is asked for.
			asked := http.StatusForbidden
			if test.status == http.StatusOK {
				asked = http.StatusUnauthorized
			}
			if a := c.do(t, http.MethodGet, "/v2/", nil, test.headers...); a.status != asked {
				t.Errorf("without a password: status %d, want %d", a.status, asked)
			}
			a := c.as("alice", "secret").want(t, test.status, http.MethodGet, "/v2/", nil, test.headers...)
			if test.status == http.StatusForbidden && (a.code() != "DENIED" || !strings.Contains(string(a.body), "use https")) {
				t.Errorf("the answer does not say what to do: %s", a.body)
			}
		})
	}
	eventually(t, "a line that names the client behind the proxy", func() bool {
		return hasLine(s.Log(), "msg=request", "client=203.0.113.7", "user=alice")
	})
}

// TestPrivateRegistryForANetwork is the command of the manual: a port on all
// addresses, a certificate, a password file.
func TestPrivateRegistryForANetwork(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	made := pair(t, t.TempDir())
	s := n.start(t, "--listen", ":5043", "--tls-cert", made.Cert, "--tls-key", made.Key, "--htpasswd", usersFile(t, "secret"))
	if !strings.HasSuffix(s.Addr, ":5043") {
		t.Errorf("listens on %s, want port 5043", s.Addr)
	}
	for _, host := range []string{"127.0.0.1", away} {
		c := n.client(t, s, host)
		config := trust(t, made.CACert)
		config.ServerName = "127.0.0.1"
		c.http.Transport.(*http.Transport).TLSClientConfig = config
		if got := c.as("alice", "secret").status(t); got != http.StatusOK {
			t.Errorf("%s: status %d, want 200", host, got)
		}
		if got := c.as("alice", "wrong").status(t); got != http.StatusUnauthorized {
			t.Errorf("%s with a wrong password: status %d, want 401", host, got)
		}
	}
}

func TestServeAloneIsOnPort5000(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	cmd := exec.CommandContext(t.Context(), testserver.Binary(t), "serve")
	cmd.Dir = t.TempDir()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	var err error
	n.run(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("ended with %v", err)
		}
	}()
	c := n.client(t, &testserver.Server{URL: "http://127.0.0.1:5000", Addr: "127.0.0.1:5000"}, "127.0.0.1")
	eventually(t, "an answer on 127.0.0.1:5000", func() bool {
		a, err := c.try(t.Context(), http.MethodGet, "/v2/", nil)
		return err == nil && a.status == http.StatusUnauthorized
	})
	other := n.client(t, &testserver.Server{URL: c.url, Addr: "127.0.0.1:5000"}, away)
	if _, err := other.try(t.Context(), http.MethodGet, "/v2/", nil); err == nil {
		t.Error("it can be reached under another address than 127.0.0.1")
	}
	for _, name := range []string{"registry.db", "users/htpasswd"} {
		if files, _ := filepath.Glob(filepath.Join(cmd.Dir, "moorgate-data", name)); len(files) != 1 {
			t.Errorf("there is no moorgate-data/%s", name)
		}
	}
}
