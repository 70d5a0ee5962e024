package limits

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
)

// large is more than what fits between the two ends of a connection.
const large = 32 << 20

// read asks for a blob on a new connection that keeps little on the way.
func read(t *testing.T, s *server, repo, digest string) *net.TCPConn {
	t.Helper()
	conn := s.dial(t)
	if err := conn.SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /v2/%s/blobs/%s HTTP/1.1\r\nHost: %s\r\n\r\n", repo, digest, s.Addr); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestSlowReadersAreCut reads large blobs byte by byte, slower than the documented
// 256 KiB in an idle timeout.
func TestSlowReadersAreCut(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	s := startIn(t, home, patient)
	c := client.New(t, s.URL)
	content := client.Random(large)
	d := client.Digest(content) // once: it takes a while
	if err := c.PushBlob(t.Context(), "app", content); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	s = startIn(t, home, impatient)
	s.works(t)
	before := s.status(t)
	conns := make([]net.Conn, slow)
	for i := range conns {
		conns[i] = read(t, s, "app", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		atOnce(slow, func(i int) {
			one := make([]byte, 1)
			every(100*time.Millisecond, func() bool {
				_, err := conns[i].Read(one) // what the server has sent before it cut still comes
				return err == nil && ctx.Err() == nil
			})
		})
	}()
	s.works(t)
	s.rests(t, before)
	cancel()
	<-done
	s.works(t)
}

// TestSlowReadersHoldNothing lets clients read a blob as slowly as they can. Others
// can read it, push it again and delete it meanwhile.
func TestSlowReadersHoldNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	c := client.New(t, s.URL)
	content := client.Random(large)
	d := client.Digest(content)
	if err := c.PushBlob(t.Context(), "app", content); err != nil {
		t.Fatal(err)
	}
	before := s.status(t)
	conns := make([]net.Conn, slow)
	for i := range conns {
		conns[i] = read(t, s, "app", d)
		if _, err := conns[i].Read(make([]byte, 1)); err != nil { // it has begun
			t.Fatal(err)
		}
	}
	during := s.status(t)
	t.Logf("memory %d MiB before and %d MiB with %d readers", before.RSSBytes>>20, during.RSSBytes>>20, slow)
	if during.RSSBytes > before.RSSBytes+64<<20 {
		t.Errorf("memory %d MiB, then %d MiB: readers keep parts of the blob in memory", before.RSSBytes>>20, during.RSSBytes>>20)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got, err := c.Blob(ctx, "app", d); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
	if err := c.PushBlobAtOnce(ctx, "app", content); err != nil {
		t.Error(err)
	}
	if err := c.Delete(ctx, "app", "blobs", d); err != nil {
		t.Error(err)
	}
	s.works(t)
	for _, conn := range conns {
		_ = conn.Close()
	}
	s.rests(t, before)
}
