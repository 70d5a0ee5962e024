package crash

import (
	"io"
	"net"
	"sync"
	"testing"
)

// door is an address that stays while the server behind it comes and goes, each time
// somewhere else: what clients call the registry. While there is no server, who comes
// is sent away; a client that tries again may find the next one.
type door struct {
	addr string

	mu    sync.Mutex
	to    string
	conns map[net.Conn]bool
	shut  bool
}

func openDoor(t *testing.T) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{addr: l.Addr().String(), conns: map[net.Conn]bool{}}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { d.pass(conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		d.close()
		group.Wait()
	})
	return d
}

// lead lets who comes from now on through to addr; to nobody if that is "".
func (d *door) lead(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = addr
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	for conn := range d.conns {
		_ = conn.Close()
	}
}

// enter notes a connection, which is closed with the door, and returns where it leads.
func (d *door) enter(conn net.Conn) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return ""
	}
	d.conns[conn] = true
	return d.to
}

func (d *door) leave(conn net.Conn) {
	_ = conn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, conn)
}

// pass carries the bytes of one connection in both directions until the server ends it.
func (d *door) pass(in *net.TCPConn) {
	to := d.enter(in)
	defer d.leave(in)
	if to == "" {
		return
	}
	conn, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	out := conn.(*net.TCPConn)
	if d.enter(out) == "" {
		_ = out.Close()
	}
	defer d.leave(out)
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.CloseWrite()
	}()
	_, _ = io.Copy(in, out)
}
