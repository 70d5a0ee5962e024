package middleware_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/middleware"
)

// The tests of the idle timeout run in a bubble whose clock moves only when everybody
// waits, over connections in memory: a machine that stands still cuts nobody.

// inMemory listens for connections that a test makes by dial.
type inMemory struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newInMemory() *inMemory {
	l := &inMemory{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

func (l *inMemory) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *inMemory) Close() error { l.close(); return nil }

func (l *inMemory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// dial connects to the listener. There is room for one write on the way, as both ends
// of a TLS connection may write at the same time.
func (l *inMemory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, clientSide := net.Pipe()
	server, serverSide := net.Pipe()
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	go carry(clientSide, serverSide)
	go carry(serverSide, clientSide)
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// idleServer serves h behind an idle timeout, over HTTP/1.1, or HTTP/2 and TLS, in the
// bubble of the test. It returns how to connect to it.
func idleServer(t *testing.T, http2 bool, timeout time.Duration, h http.HandlerFunc) (*httptest.Server, *inMemory) {
	t.Helper()
	l := newInMemory()
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: middleware.Idle(timeout)(h)}, EnableHTTP2: http2}
	if http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	s.Client().Transport.(*http.Transport).DialContext = l.dial
	t.Cleanup(s.Close)
	return s, l
}

// eachVersion runs a test over both versions of HTTP, in a bubble.
func eachVersion(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Helper()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, http2) })
		})
	}
}
