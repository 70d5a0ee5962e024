package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// dialer connects to the first server that can be reached.
type dialer struct {
	urls     []*url.URL
	startTLS bool
	tls      *tls.Config
	bindDN   string
	password string
	timeout  time.Duration
	now      func() time.Time

	mu      sync.Mutex
	first   int       // the server that is tried first: the last one that answered
	failed  error     // why none can be reached
	retryAt time.Time // until then nobody tries again
}

// pause is how long nobody tries to connect after no server could be reached:
// whoever signs in meanwhile need not wait for the timeouts.
const pause = time.Second

func newDialer(c Config) (*dialer, error) {
	d := &dialer{startTLS: c.StartTLS, bindDN: c.BindDN, timeout: c.Timeout, now: time.Now}
	for _, text := range c.URLs {
		u, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		d.urls = append(d.urls, u)
	}
	d.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("the authorities of the directory (ca): %w", err)
		}
		d.tls.RootCAs = x509.NewCertPool()
		if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the authorities of the directory (ca): there is no certificate in %s", c.CA)
		}
	}
	if c.PasswordFile != "" {
		password, err := readPassword(c.PasswordFile)
		if err != nil {
			return nil, err
		}
		d.password = password
	}
	return d, nil
}

// dial returns a connection that is bound for searching.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	d.mu.Lock()
	first, failed, wait := d.first, d.failed, d.now().Before(d.retryAt)
	d.mu.Unlock()
	if wait {
		return nil, failed
	}
	var all []error
	for i := range d.urls {
		n := (first + i) % len(d.urls)
		c, err := d.dialOne(ctx, d.urls[n])
		if err == nil {
			d.note(n, nil)
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() // that says nothing about the server
		}
		all = append(all, fmt.Errorf("%s: %w", d.urls[n], err))
	}
	err := errors.Join(all...)
	d.note(first, err)
	return nil, err
}

func (d *dialer) note(first int, failed error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first, d.failed = first, failed
	if failed != nil {
		d.retryAt = d.now().Add(pause)
	}
}

// dialOne connects to a server and binds.
func (d *dialer) dialOne(ctx context.Context, u *url.URL) (*conn, error) {
	raw, err := (&net.Dialer{Timeout: d.timeout}).DialContext(ctx, "tcp", address(u))
	if err != nil {
		return nil, explain(err)
	}
	config := d.tls.Clone()
	config.ServerName = u.Hostname()
	if u.Scheme == "ldaps" {
		raw = tls.Client(raw, config)
		if err := handshake(ctx, raw.(*tls.Conn), d.timeout); err != nil { //nolint:forcetypeassert // made above
			_ = raw.Close() // it is of no use
			return nil, explain(err)
		}
	}
	c := &conn{ldap: ldap.NewConn(raw, u.Scheme == "ldaps"), dialer: d}
	c.ldap.SetTimeout(d.timeout)
	c.ldap.Start()
	err = c.while(ctx, func() error {
		if d.startTLS {
			if err := c.ldap.StartTLS(config); err != nil {
				return err
			}
		}
		return c.bindSearcher()
	})
	if err != nil {
		c.close()
		return nil, explain(err)
	}
	return c, nil
}

func handshake(ctx context.Context, c *tls.Conn, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.HandshakeContext(ctx)
}

// conn is a connection, used by one goroutine at a time. Between two uses it is
// bound for searching.
type conn struct {
	ldap   *ldap.Conn
	dialer *dialer
}

// while runs a question and gives it up when ctx ends.
func (c *conn) while(ctx context.Context, ask func() error) error {
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	err := ask()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *conn) close() { _ = c.ldap.Close() } // nothing was left to be written

// bindSearcher makes the connection one of the account that searches.
func (c *conn) bindSearcher() error {
	if c.dialer.bindDN == "" {
		return c.ldap.UnauthenticatedBind("")
	}
	if err := c.ldap.Bind(c.dialer.bindDN, c.dialer.password); err != nil {
		return &refusedError{dn: c.dialer.bindDN, err: err}
	}
	return nil
}
