package trail_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/audit/trail"
)

// server takes messages and does nothing else.
type server struct {
	address string
	close   func()

	mu   sync.Mutex
	list []string
}

func (s *server) add(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, message)
}

func (s *server) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.list...)
}

// listen starts a server on a network and an address, which ends with the test.
func listen(t testing.TB, network, address string) *server {
	t.Helper()
	s := &server{address: address}
	switch network {
	case "unixgram", "udp":
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		s.address, s.close = conn.LocalAddr().String(), func() { _ = conn.Close() }
		go func() {
			for buf := make([]byte, 64<<10); ; {
				n, _, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				s.add(string(buf[:n]))
			}
		}()
	default:
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var conns []net.Conn
		s.address = l.Addr().String()
		s.close = func() {
			_ = l.Close()
			mu.Lock()
			defer mu.Unlock()
			for _, c := range conns {
				_ = c.Close()
			}
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				conns = append(conns, conn)
				mu.Unlock()
				go func() {
					s.read(conn, network == "unix")
					_ = conn.Close()
				}()
			}
		}()
	}
	t.Cleanup(s.close)
	return s
}

// read takes messages that are counted, or lines.
func (s *server) read(conn io.Reader, lines bool) {
	in := bufio.NewReader(conn)
	for {
		if lines {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			s.add(strings.TrimSuffix(line, "\n"))
			continue
		}
		var n int
		if _, err := fmt.Fscanf(in, "%d ", &n); err != nil {
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		s.add(string(message))
	}
}

func syslogTo(address string) trail.Config {
	c := trail.Default()
	c.Syslog.Address = address
	return c
}

var (
	rfc5424 = regexp.MustCompile(`^<(\d+)>1 2026-11-27T18:00:00\.000000Z \S{1,255} moorgate \d+ (\S+) - (\{.*\})$`)
	local   = regexp.MustCompile(`^<(\d+)>Nov 2\d \d\d:00:00 moorgate\[\d+\]: (\{.*\})$`)
)

func TestSyslogMessages(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp", "unix", "unixgram"} {
		address, url := "127.0.0.1:0", network+"://"
		if strings.HasPrefix(network, "unix") {
			address, url = filepath.Join(t.TempDir(), "log"), "unix://"
		}
		s := listen(t, network, address)
		r := open(t, syslogTo(url+s.address))
		for _, outcome := range []audit.Outcome{audit.Done, audit.Denied} {
			record := push("alice")
			record.Outcome = outcome
			r.Record(t.Context(), record)
		}
		await(t, network, func() bool { return len(s.messages()) == 2 })
		for i, want := range []string{"85 done", "84 denied"} { // authpriv.notice, authpriv.warning
			message := s.messages()[i]
			got := ""
			if m := rfc5424.FindStringSubmatch(message); m != nil && url != "unix://" {
				got = m[1] + " " + m[2]
			} else if m := local.FindStringSubmatch(message); m != nil && url == "unix://" {
				got = m[1] + " " + want[3:]
			}
			if got != want || !strings.Contains(message, `"user":"alice"`) {
				t.Errorf("%s: %q, want %s", network, message, want)
			}
		}
	}
}

// A server that is away costs nothing but time: its records wait.
func TestSyslogServerThatIsAway(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unixgram"} {
		address := filepath.Join(t.TempDir(), "log")
		if network == "tcp" {
			first := listen(t, "tcp", "127.0.0.1:0")
			address = first.address
			first.close()
		}
		r := open(t, syslogTo(strings.TrimSuffix(network, "gram")+"://"+strings.TrimPrefix(address, "//")))
		begin := time.Now()
		for i := range 100 {
			r.done(t, fmt.Sprint(i))
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("%s: whoever brought records waited %s", network, took)
		}
		await(t, "the operator is told", func() bool { return strings.Contains(r.log.String(), "cannot reach the syslog server") })
		s := listen(t, network, address)
		await(t, "the records arrive", func() bool { return len(s.messages()) >= 100 })
		await(t, "the operator is told again", func() bool { return strings.Contains(r.log.String(), "the audit is written again") })
		if n := strings.Count(r.log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%s: told %d times:\n%s", network, n, r.log.String())
		}
		for i, message := range s.messages() {
			if !strings.Contains(message, fmt.Sprintf(`"user":"%d"`, i)) {
				t.Errorf("%s: message %d: %s", network, i, message)
			}
		}
	}
}

// A server that comes back has all that came after it had gone, and was noticed.
func TestSyslogServerThatComesBack(t *testing.T) {
	t.Parallel()
	s := listen(t, "tcp", "127.0.0.1:0")
	r := open(t, syslogTo("tcp://"+s.address))
	r.done(t, "before")
	await(t, "the first record", func() bool { return len(s.messages()) == 1 })
	s.close()
	again := listen(t, "tcp", s.address)
	// The end of a connection takes a moment to be seen; what is sent before is lost,
	// as nobody acknowledges it.
	await(t, "a record on the new connection", func() bool {
		r.done(t, "after")
		return len(again.messages()) > 0
	})
}

// A server that takes a connection and reads nothing holds up nobody, also not the
// end.
func TestSyslogServerThatHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing is lost
	r := open(t, syslogTo("tcp://"+l.Addr().String()))
	begin := time.Now()
	for range 40_000 { // far more than the buffers of both sides hold, and than may wait
		r.done(t, strings.Repeat("x", 200))
	}
	took := time.Since(begin)
	r.closed = true
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "lacks the last records") {
		t.Errorf("close: %v", err)
	}
	if took > 30*time.Second {
		t.Errorf("whoever brought records waited %s", took)
	}
}

func TestSyslogAuthorityThatIsNone(t *testing.T) {
	t.Parallel()
	c := syslogTo("tls://127.0.0.1:6514")
	for file, want := range map[string]string{"/nowhere": "no such file", os.Args[0]: "no certificate in PEM"} {
		c.Syslog.CA = file
		if _, err := trail.Open(c, trail.Options{Now: time.Now}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
		if found := trail.Probe(c); len(found) != 1 || found[0].Err == nil || !strings.Contains(found[0].Err.Error(), want) {
			t.Errorf("%s: %v", file, found)
		}
	}
}

func TestProbeSyslog(t *testing.T) {
	t.Parallel()
	s := listen(t, "tcp", "127.0.0.1:0")
	got := fmt.Sprint(trail.Probe(syslogTo("tcp://" + s.address)))
	if diff := cmp.Diff("[{syslog reached "+s.address+" <nil>}]", got); diff != "" {
		t.Error(diff)
	}
	s.close()
	if found := trail.Probe(syslogTo("tcp://" + s.address)); found[0].Err == nil || !strings.Contains(found[0].Err.Error(), "cannot reach the syslog server") {
		t.Errorf("%v", found)
	}
	if len(s.messages()) > 0 {
		t.Errorf("it sent %q", s.messages())
	}
	if found := trail.Probe(syslogTo("udp://127.0.0.1:514")); found[0].Err != nil || !strings.Contains(found[0].Found, "never says") {
		t.Errorf("%v", found)
	}
}
