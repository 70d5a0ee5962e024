package app_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// impatient is the configuration of a server that waits for so short that a test can
// wait for it, and for longer than a client that means well stands still on a machine
// that is busy.
const impatient = "open: true\nlimits: {header_timeout: 2s, idle_timeout: 3s}\n"

// startImpatient starts an impatient server that holds content: it was pushed to
// another one, which has time.
func startImpatient(t *testing.T, content []byte, args ...string) *testserver.Server {
	t.Helper()
	args = append(args, "--data", filepath.Join(t.TempDir(), "data"))
	s := start(t, "open: true\n", args...)
	newClient(t, s, &tls.Config{InsecureSkipVerify: true}).push(t, "app", content) // whoever it is
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return start(t, impatient, args...)
}

// notCut fails the test unless try, whose client is slow but moves, and takes longer
// than the idle timeout, gets through. A machine that is busy with other tests may
// stand still for as long as that, and then the server is right to cut the client: so
// there are more tries, with ever longer timeouts.
func notCut(t *testing.T, try func(s *testserver.Server, idle time.Duration) error) {
	t.Helper()
	for idle := 3 * time.Second; ; idle *= 2 {
		s := start(t, fmt.Sprintf("open: true\nlimits: {idle_timeout: %s}\n", idle))
		err := try(s, idle)
		if err == nil {
			return
		}
		if idle > 40*time.Second {
			t.Fatalf("a client that moves is cut: %v", err)
		}
		t.Logf("with an idle timeout of %s: %v", idle, err)
	}
}

// dial opens a connection on which everything has to happen within the patience
// of the test.
func dial(t *testing.T, s *testserver.Server) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// send writes to the connection; the other end may be gone.
func send(conn net.Conn, format string, args ...any) error {
	_, err := fmt.Fprintf(conn, format, args...)
	return err
}

// answerOn reads the one answer that comes on a connection; 0 if it was cut
// without one. Neither within the patience of the test fails it.
func answerOn(t *testing.T, conn net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is neither answered nor cut")
	}
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// every calls f again and again until it returns false.
func every(pause time.Duration, f func() bool) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for f() {
		<-tick.C
	}
}

func TestLongHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, impatient)
	long := strings.Repeat("x", 200<<10)
	for name, header := range map[string]string{
		"one":  "X-Long: " + long + "\r\n",
		"many": strings.Repeat("X-Many: "+long[:1000]+"\r\n", 200),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			_ = send(conn, "GET /v2/ HTTP/1.1\r\nHost: %s\r\n%s\r\n", s.Addr, header) // the answer tells
			if got := answerOn(t, conn); got != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("status %d, want 431", got)
			}
		})
	}
	newClient(t, s, nil).want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
}

func TestHeadersThatNeverEndAreCut(t *testing.T) {
	t.Parallel()
	s := start(t, impatient)
	conn := dial(t, s)
	begin := time.Now()
	if err := send(conn, "GET /v2/ HTTP/1.1\r\nHost: %s\r\n", s.Addr); err != nil {
		t.Fatal(err)
	}
	every(200*time.Millisecond, func() bool {
		return time.Since(begin) < patience && send(conn, "X-Slow: 1\r\n") == nil
	})
	if took := time.Since(begin); took < 1900*time.Millisecond || took >= patience {
		t.Errorf("cut after %s, want a little over 2s", took)
	}
}

func TestSilentConnectionIsCut(t *testing.T) {
	t.Parallel()
	s := start(t, impatient)
	for name, first := range map[string]string{
		"from the start":    "",
		"after a request":   "GET /v2/ HTTP/1.1\r\nHost: " + s.Addr + "\r\n\r\n",
		"within the header": "GET /v2/ HT",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			_ = send(conn, "%s", first) // it may be cut already
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open")
			}
		})
	}
}

// patch begins a PATCH of n bytes on a new connection.
func patch(t *testing.T, s *testserver.Server, session string, n int) *net.TCPConn {
	t.Helper()
	conn := dial(t, s)
	err := send(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", session, s.Addr, n)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestStalledBodyIsCut(t *testing.T) {
	t.Parallel()
	s := start(t, impatient)
	c := newClient(t, s, nil)
	session := c.session(t, "app")
	conn := patch(t, s, session, 1<<20)
	if _, err := conn.Write(randomBytes(1000)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if got := answerOn(t, conn); got != 0 && got != http.StatusBadRequest {
		t.Errorf("status %d, want 400 or none", got)
	}
	// The clock of the server may have begun before ours.
	if took := time.Since(begin); took >= patience {
		t.Errorf("cut after %s, want a little over 3s", took)
	}
	// What came is kept, and the session is free for the next request.
	a := c.want(t, http.StatusNoContent, http.MethodGet, session, nil)
	if got := a.header.Get("Range"); got != "0-999" {
		t.Errorf("the session has the range %s, want 0-999", got)
	}
	c.want(t, http.StatusAccepted, http.MethodPatch, session, bytes.NewReader(randomBytes(1000)))
}

func TestSlowBodyGoesThrough(t *testing.T) {
	t.Parallel()
	notCut(t, func(s *testserver.Server, idle time.Duration) error {
		c := newClient(t, s, nil)
		content := randomBytes(30)
		session := c.session(t, "app")
		conn := patch(t, s, session, len(content))
		if err := conn.SetDeadline(time.Now().Add(2*idle + patience)); err != nil {
			return err
		}
		var failed error
		sent := 0
		every(idle/20, func() bool { // half as long again as may be rested
			_, failed = conn.Write(content[sent : sent+1])
			sent++
			return failed == nil && sent < len(content)
		})
		if failed != nil {
			return fmt.Errorf("after %d bytes: %w", sent, failed)
		}
		if got := answerOn(t, conn); got != http.StatusAccepted {
			return fmt.Errorf("status %d, want 202", got)
		}
		c.want(t, http.StatusCreated, http.MethodPut, session+"?digest="+digestOf(content), nil)
		c.holds(t, "app", content)
		return nil
	})
}

func TestClientThatStopsReadingIsCut(t *testing.T) {
	t.Parallel()
	content := randomBytes(32 << 20) // more than what is between the two ends
	s, d := startImpatient(t, content), digestOf(content)
	conn := dial(t, s)
	if err := conn.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	path := "/v2/app/blobs/" + d
	if err := send(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, s.Addr); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, conn, 100<<10); err != nil {
		t.Fatal(err)
	}
	logged(t, s, "msg=request", "method=GET", "path="+path)
	n, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) || n > int64(len(content)-(100<<10)) {
		t.Errorf("%d more bytes came, and then %v; want the connection cut", n, err)
	}
}

func TestSlowReaderGoesThrough(t *testing.T) {
	t.Parallel()
	notCut(t, func(s *testserver.Server, idle time.Duration) error {
		content := randomBytes(64 << 20) // far more than what is between the two ends
		d := newClient(t, s, nil).push(t, "app", content)
		conn := dial(t, s)
		if err := conn.SetDeadline(time.Now().Add(2*idle + patience)); err != nil {
			return err
		}
		// Without a bound, some ten megabytes wait between the two ends, and the
		// server sees them move in lumps that are a second apart.
		if err := conn.SetReadBuffer(64 << 10); err != nil {
			return err
		}
		if err := send(conn, "GET /v2/app/blobs/%s HTTP/1.1\r\nHost: %s\r\n\r\n", d, s.Addr); err != nil {
			return err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var got bytes.Buffer
		every(idle/20, func() bool { // in all, more than half as long again as may be rested
			_, err := io.CopyN(&got, resp.Body, 2<<20)
			return err == nil
		})
		if !bytes.Equal(got.Bytes(), content) {
			return fmt.Errorf("%d of %d bytes came", got.Len(), len(content))
		}
		return nil
	})
}
