package limits

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
)

// slow is how many clients are slow at once.
const slow = 100

// TestSlowHeadersAreCut sends headers that never end, a little at a time.
func TestSlowHeadersAreCut(t *testing.T) {
	t.Parallel()
	s := start(t, impatient)
	s.works(t)
	before := s.status(t)
	conns := make([]net.Conn, slow)
	for i := range conns {
		conns[i] = s.dial(t)
	}
	begin := time.Now()
	atOnce(slow, func(i int) {
		_, err := io.WriteString(conns[i], "GET /v2/ HTTP/1.1\r\nHost: "+s.Addr+"\r\n")
		every(100*time.Millisecond, func() bool {
			if err == nil && time.Since(begin) < patience {
				_, err = io.WriteString(conns[i], "X-Slow: 1\r\n")
				return true
			}
			return false
		})
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("headers may take longer than %s", patience)
		}
	})
	s.works(t)
	s.rests(t, before)
}

// patch begins a PATCH of n bytes on a new connection.
func patch(t *testing.T, s *server, session string, n int) *net.TCPConn {
	t.Helper()
	conn := s.dial(t)
	if _, err := fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", session, s.Addr, n); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answer reads the status of the answer on a connection; 0 if it is cut without one.
func answer(t *testing.T, conn net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection is neither answered nor cut")
	}
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// TestSlowBodyLivesOn sends a body in small pieces, for longer than a connection
// may rest. A machine that is busy may keep the pieces from moving for seconds, which
// looks like rest: then it is tried again with a longer timeout.
func TestSlowBodyLivesOn(t *testing.T) {
	t.Parallel()
	for idle := 2 * time.Second; idle < patience; idle *= 3 {
		s := start(t, fmt.Sprintf("idle_timeout: %s", idle))
		c := client.New(t, s.URL)
		content := client.Random(30)
		at := session(t, c, "app")
		conn := patch(t, s, at, len(content))
		sent := 0
		every(idle*3/2/time.Duration(len(content)), func() bool {
			_, err := conn.Write(content[sent : sent+1])
			sent++
			return err == nil && sent < len(content)
		})
		if status := answer(t, conn); status != http.StatusAccepted {
			t.Logf("with a timeout of %s, the push was cut: status %d", idle, status)
			continue
		}
		if _, err := c.Want(t.Context(), http.StatusCreated, http.MethodPut, at+"?digest="+client.Digest(content), nil); err != nil {
			t.Error(err)
		}
		if got, err := c.Blob(t.Context(), "app", client.Digest(content)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%x came back, %v; want %x", got, err, content)
		}
		return
	}
	t.Error("a body that moves is cut")
}

// TestStandingBodiesAreCut begins bodies that then stand still. They are cut, what
// came is kept, and the sessions can go on.
func TestStandingBodiesAreCut(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	at := sessions(t, startIn(t, home, patient))
	s := startIn(t, home, impatient)
	s.works(t)
	before := s.status(t)
	content, conns := client.Random(2000), make([]net.Conn, slow)
	for i := range conns {
		conns[i] = patch(t, s, at[i], 1<<20)
		_, _ = conns[i].Write(content[:1000]) // it may be cut already
	}
	s.works(t)
	atOnce(slow, func(i int) {
		if status := answer(t, conns[i]); status != 0 && status != http.StatusBadRequest {
			t.Errorf("status %d of a body that stands still, want 400 or none", status)
		}
	})
	s.rests(t, before)
	s.stop(t)
	c := client.New(t, startIn(t, home, patient).URL)
	kept := 0
	for i := range slow {
		kept += goOn(t, c, at[i], content)
	}
	if kept == 0 {
		t.Error("nothing was kept of any body")
	}
}

// sessions begins uploads on a server, which then ends. It returns their paths.
func sessions(t *testing.T, s *server) []string {
	t.Helper()
	c, paths := client.New(t, s.URL), make([]string, slow)
	for i := range paths {
		paths[i] = strings.TrimPrefix(session(t, c, "app"), s.URL)
	}
	s.stop(t)
	return paths
}

// goOn ends an upload from where it is, and returns how many bytes had been kept.
func goOn(t *testing.T, c *client.Client, at string, content []byte) (begin int) {
	t.Helper()
	a, err := c.Want(t.Context(), http.StatusNoContent, http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(a.Header.Get("Range"), "0-%d", &begin); err != nil {
		t.Fatal(err)
	}
	if begin > 0 { // 0-0 is said of a session that has nothing
		begin++
	}
	if begin != 0 && begin != 1000 {
		t.Errorf("%d bytes were kept, want all that came", begin)
	}
	_, err = c.Want(t.Context(), http.StatusCreated, http.MethodPut, at+"?digest="+client.Digest(content), bytes.NewReader(content[begin:]))
	if err != nil {
		t.Error(err)
	}
	return begin
}
