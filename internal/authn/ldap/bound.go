package ldap

import (
	"fmt"
	"net"
	"sync/atomic"
)

// maxAnswers bounds what a directory sends for one question of ours after a user, in
// bytes: the entry, and the names of all groups, with much room.
const maxAnswers = 32 << 20

// boundedConn is a connection that breaks when more comes than was agreed. The
// library itself would take 2 GiB into memory.
type boundedConn struct {
	net.Conn
	left atomic.Int64 // bytes
}

func (c *boundedConn) allow(n int64) { c.left.Store(n) }

func (c *boundedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.left.Add(-int64(n)) < 0 {
		return 0, fmt.Errorf("the directory has sent more than %d MiB for one user", maxAnswers>>20)
	}
	return n, err
}
