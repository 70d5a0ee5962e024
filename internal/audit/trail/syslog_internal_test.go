package trail

import (
	"net"
	"strings"
	"testing"
	"time"
)

// A server that is sent to by UDP moves: its name stands for another address, and
// nothing tells so.
func TestUDPServerThatMoves(t *testing.T) {
	t.Parallel()
	before, after := packets(t), packets(t)
	c := Default().Syslog
	c.Address = "udp://" + before.LocalAddr().String()
	s, err := newSyslog(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close() //nolint:errcheck // nothing is lost
	now := time.Now()
	s.now = func() time.Time { return now }
	arrive(t, s, "first", before)
	s.to.at = after.LocalAddr().String()
	now = now.Add(lookEvery - time.Second)
	arrive(t, s, "too early to look", before)
	now = now.Add(time.Second)
	arrive(t, s, "moved", after)
	s.to.at = "a name that nobody knows:514"
	now = now.Add(lookEvery)
	arrive(t, s, "no name server", after)
	s.to.at = before.LocalAddr().String()
	arrive(t, s, "not asked for each message", after)
	now = now.Add(-2 * lookEvery)
	arrive(t, s, "a clock that was put back", before)
}

// arrive sends a line, which must come to one server.
func arrive(t *testing.T, s *sysLog, text string, to net.PacketConn) {
	t.Helper()
	if err := s.write(entry{text: []byte(text)}); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := to.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, _, err := to.ReadFrom(buf)
	if err != nil || !strings.HasSuffix(string(buf[:n]), " - "+text) {
		t.Fatalf("%s: got %q, %v", text, buf[:n], err)
	}
}

// packets returns a server of UDP that ends with the test.
func packets(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
