package limits

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
)

const (
	crowd        = 2000          // connections
	mostForCrowd = 160 << 20     // bytes of memory, for all of them together
	filesNeeded  = 2*crowd + 500 // by the process of the test, and by the server
)

// allowFiles lets this process and those that it starts open as many files as the
// crowd takes. Go itself asks for all that the system allows.
func allowFiles(t *testing.T) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max >= filesNeeded {
		return
	}
	limit = syscall.Rlimit{Cur: filesNeeded, Max: filesNeeded}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("%d files have to be open at once: %v; allow it with ulimit -n", filesNeeded, err)
	}
}

// TestIdleConnectionsTakeLittle opens connections that have asked once and then rest.
func TestIdleConnectionsTakeLittle(t *testing.T) {
	allowFiles(t)
	s := start(t, "idle_timeout: 10m")
	s.works(t)
	before := s.status(t)
	conns := make([]net.Conn, crowd)
	for i := range conns {
		conns[i] = s.dial(t)
	}
	askOn(t, s, conns)
	s.works(t)
	during := s.status(t)
	t.Logf("memory %d MiB before and %d MiB with %d connections; open files %d and %d",
		before.RSSBytes>>20, during.RSSBytes>>20, crowd, before.Files, during.Files)
	if during.Files+spareFiles < before.Files+crowd {
		t.Errorf("%d files are open, and were %d before: the connections do not stay", during.Files, before.Files)
	}
	if during.RSSBytes > before.RSSBytes+mostForCrowd {
		t.Errorf("%d connections take more than %d MiB", crowd, mostForCrowd>>20)
	}
	askOn(t, s, conns[:10]) // they are good for more
	for _, conn := range conns {
		_ = conn.Close()
	}
	s.rests(t, before)
}

// askOn sends a request on each connection.
func askOn(t *testing.T, s *server, conns []net.Conn) {
	t.Helper()
	atOnce(len(conns), func(i int) {
		if err := ask(s, conns[i]); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

// ask sends a request on a connection and reads the answer.
func ask(s *server, conn net.Conn) error {
	if _, err := fmt.Fprintf(conn, "GET /v2/ HTTP/1.1\r\nHost: %s\r\n\r\n", s.Addr); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// TestIdleConnectionsAreCut opens connections of which some ask nothing, some once,
// and some never end their question. The server is rid of all.
func TestIdleConnectionsAreCut(t *testing.T) {
	allowFiles(t)
	s := start(t, impatient)
	s.works(t)
	before := s.status(t)
	first := []string{"", "GET /v2/ HTTP/1.1\r\nHost: " + s.Addr + "\r\n\r\n", "GET /v2/ HT"}
	conns := make([]net.Conn, crowd)
	for i := range conns {
		conns[i] = s.dial(t)
		_, _ = io.WriteString(conns[i], first[i%len(first)]) // it may be cut already
	}
	s.works(t)
	atOnce(crowd, func(i int) {
		if _, err := io.Copy(io.Discard, conns[i]); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection that said %q stays open", first[i%len(first)])
		}
	})
	s.rests(t, before)
	s.works(t)
}
