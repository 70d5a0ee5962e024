package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of connections.
const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	continueTimeout  = time.Second      // a registry that does not know "Expect: 100-continue" costs this much
	idleTimeout      = 45 * time.Second // below that of common servers, so that we hang up first
	pingAfter        = 30 * time.Second // of silence on an HTTP/2 connection in use
	idlePerHost      = 256
	maxHeader        = 256 << 10
	bufferSize       = 64 << 10
	copySize         = 128 << 10
)

// newTransport returns the connections to a registry: straight to it, whatever
// proxies the environment names, with bodies as they are on the wire.
func newTransport(c Config, socket string, roots *x509.CertPool) *http.Transport {
	d := &dialer{socket: socket, stall: c.timeout(), net: net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}}
	d.buffers.New = func() any { return new([copySize]byte) }
	return &http.Transport{
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true, // over TLS only
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  c.timeout(), // counts from the end of the request
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxHeader,
		WriteBufferSize:        bufferSize,
		ReadBufferSize:         bufferSize,
	}
}

// dialer makes connections.
type dialer struct {
	net     net.Dialer
	socket  string        // a Unix socket to use instead of the address; "" for none
	stall   time.Duration // how long the other side may take nothing
	buffers sync.Pool     // of *[copySize]byte
}

// dial connects to the address, or to the socket.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.socket != "" {
		network, address = "unix", d.socket
	}
	c, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, dialer: d}, nil
}

// conn is a connection on which writing fails when the other side takes nothing
// for long. Without that a registry that hangs in the middle of a push would
// hold client and connection forever, as net/http bounds only the waiting for an
// answer to a request that was sent whole.
type conn struct {
	net.Conn
	dialer *dialer
}

// Write writes p, in the time that the other side may stall.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.dialer.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// ReadFrom sends a body. Its larger buffer needs fewer system calls than the one
// of io.Copy.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	buf := c.dialer.buffers.Get().(*[copySize]byte)
	defer c.dialer.buffers.Put(buf)
	return io.CopyBuffer(onlyWriter{c}, r, buf[:])
}

// onlyWriter hides ReadFrom, which would call itself.
type onlyWriter struct{ io.Writer }
