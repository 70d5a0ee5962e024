package trail_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/audit/trail"
	"github.com/moorgate/moorgate/internal/certs"
)

// rsyslogd is Debian's syslog server, with an input of each kind.
type rsyslogd struct {
	socket, udp, tcp, tls string
	ca                    string
	out                   string // what it has taken: facility, severity, program, MSGID, message
}

const rsyslogConfig = `
global(workDirectory="%[1]s"
  defaultNetstreamDriverCAFile="%[1]s/ca.crt"
  defaultNetstreamDriverCertFile="%[1]s/domain.crt"
  defaultNetstreamDriverKeyFile="%[1]s/domain.key")
module(load="imuxsock" sysSock.use="off")
input(type="imuxsock" socket="%[1]s/log")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="%[2]d")
module(load="imptcp")
input(type="imptcp" address="127.0.0.1" port="%[3]d")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="%[4]d")
template(name="all" type="string" string="%%syslogfacility-text%% %%syslogseverity-text%% %%programname%% %%msgid%% %%msg%%\n")
action(type="omfile" file="%[1]s/out" template="all")
`

// freePort returns a port that nothing listens on, neither by UDP nor by TCP.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is one
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// startRsyslogd starts a server until the end of the test.
func startRsyslogd(t *testing.T) *rsyslogd {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		if program = "/usr/sbin/rsyslogd"; !exists(program) {
			t.Fatal("no rsyslogd: install the Debian packages rsyslog and rsyslog-openssl")
		}
	}
	dir := t.TempDir()
	certificate(t, dir)
	udp, tcp, tls := freePort(t), freePort(t), freePort(t)
	file := filepath.Join(dir, "rsyslog.conf")
	write(t, file, fmt.Sprintf(rsyslogConfig, dir, udp, tcp, tls))
	cmd := exec.CommandContext(t.Context(), program, "-n", "-f", file, "-i", filepath.Join(dir, "pid"))
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("rsyslogd: %s", said.String())
		}
	})
	await(t, "rsyslogd listens", func() bool {
		for _, port := range []int{tcp, tls} {
			conn, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				return false
			}
			_ = conn.Close()
		}
		return exists(filepath.Join(dir, "log"))
	})
	return &rsyslogd{
		socket: "unix://" + filepath.Join(dir, "log"), udp: fmt.Sprint("udp://127.0.0.1:", udp),
		tcp: fmt.Sprint("tcp://127.0.0.1:", tcp), tls: fmt.Sprint("tls://127.0.0.1:", tls),
		ca: filepath.Join(dir, "ca.crt"), out: filepath.Join(dir, "out"),
	}
}

// certificate makes one for this machine, and an authority.
func certificate(t *testing.T, dir string) {
	t.Helper()
	hosts, err := certs.ParseHosts([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certs.SelfSigned(dir, hosts, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// A server of others takes what we send, in each way.
func TestRsyslog(t *testing.T) {
	t.Parallel()
	server := startRsyslogd(t)
	for name, c := range map[string]struct{ address, ca string }{
		"socket": {server.socket, ""}, "udp": {server.udp, ""}, "tcp": {server.tcp, ""}, "tls": {server.tls, server.ca},
	} {
		config := syslogTo(c.address)
		config.Syslog.CA, config.Syslog.Tag, config.Syslog.Facility = c.ca, "by-"+name, "local3"
		if found := trail.Probe(config); found[0].Err != nil {
			t.Errorf("%s: %v", name, found)
		}
		r := open(t, config)
		for i := range 20 {
			r.done(t, fmt.Sprintf("jürgen \"%d\"\n", i))
		}
		r.end(t)
		id := "done"
		if name == "socket" { // the form of local messages has none
			id = "-"
		}
		for i := range 20 {
			want := []byte(fmt.Sprintf(`local3 notice by-%s %s {"v":1,"time":"2026-11-27T18:00:00.000000Z","outcome":"done","operation":"manifest-put",`+
				`"action":"push","repo":"team/app","tag":"v1","user":"jürgen \"%d\"\n","source":"test"}`, name, id, i))
			await(t, string(want), func() bool {
				text, _ := os.ReadFile(server.out) // not there yet, maybe
				return bytes.Contains(bytes.ReplaceAll(text, []byte("  {"), []byte(" {")), want)
			})
		}
	}
}

// Whoever is not who they should be gets nothing.
func TestTLSWithAnotherAuthority(t *testing.T) {
	t.Parallel()
	server := startRsyslogd(t)
	dir := t.TempDir()
	certificate(t, dir)
	c := syslogTo(server.tls)
	c.Syslog.CA = filepath.Join(dir, "ca.crt")
	if found := trail.Probe(c); found[0].Err == nil || !strings.Contains(found[0].Err.Error(), "certificate signed by unknown authority") {
		t.Errorf("%v", found)
	}
	r := open(t, c)
	r.done(t, "alice")
	await(t, "the operator is told", func() bool { return strings.Contains(r.log.String(), "unknown authority") })
	r.closed = true
	if err := r.Close(); err == nil {
		t.Error("closed without a word about what was not sent")
	}
	if text, _ := os.ReadFile(server.out); bytes.Contains(text, []byte("alice")) {
		t.Errorf("%s", text)
	}
}
