package ldap

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// firstConn is a connection that notices by the first answer, or by its absence,
// that the port speaks TLS where we do not, or the other way round. Servers just hang
// up then.
type firstConn struct {
	net.Conn
	secure bool // TLS begins at once, as with ldaps://
	heard  bool // something has come
}

// recordAlert is the first byte of a server that has expected TLS (RFC 8446, section
// 5.1). An LDAP message never begins with it.
const recordAlert = 21

var (
	errNoTLS  = errors.New("the server has closed the connection without an answer: has this port no TLS? Then use ldap:// with start_tls")
	errHasTLS = errors.New("the server has closed the connection without an answer: does TLS begin at once on this port? Then use ldaps:// without start_tls")
)

func (c *firstConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch {
	case c.heard:
	case n > 0:
		c.heard = true
		if p[0] == recordAlert && !c.secure {
			return 0, errHasTLS
		}
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET): // nobody has hung up
	case c.secure:
		return 0, errNoTLS
	default:
		return 0, errHasTLS
	}
	return n, err
}
