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
	direct   bool // users sign in, and nobody searches
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

// How long nobody tries to connect after no server could be reached: whoever signs
// in meanwhile need not wait for the timeouts. It is longer where we were refused,
// as directories lock accounts that try too often.
const (
	pause        = time.Second
	pauseRefused = 30 * time.Second
)

func newDialer(c Config) (*dialer, error) {
	d := &dialer{startTLS: c.StartTLS, direct: c.Users.Bind != "" && c.BindDN == "", bindDN: c.BindDN, timeout: c.Timeout, now: time.Now}
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

// dial returns a connection that is bound for searching. After a failure one
// caller at a time tries again.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	first, err := d.mayTry()
	if err != nil {
		return nil, err
	}
	var all []error
	for i := range d.urls {
		n := (first + i) % len(d.urls)
		c, err := d.dialOne(ctx, d.urls[n])
		if err == nil {
			return c, d.note(n, nil)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() // that says nothing about the server
		}
		all = append(all, fmt.Errorf("%s: %w", d.urls[n], err))
	}
	return nil, d.note(first, errors.Join(all...))
}

// mayTry returns which server to try first, or the last failure if it is too early
// to try again. Whoever tries after a failure keeps others out meanwhile.
func (d *dialer) mayTry() (first int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		if d.now().Before(d.retryAt) {
			return 0, d.failed
		}
		d.retryAt = d.now().Add(pause)
	}
	return d.first, nil
}

// note remembers how it went, and returns the failure: as a text, for its timeouts
// are not those of a request.
func (d *dialer) note(first int, failure error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first, d.failed = first, nil
	if failure == nil {
		return nil
	}
	wait := pause
	var refused *refusedError
	if errors.As(failure, &refused) {
		wait = pauseRefused
	}
	d.failed, d.retryAt = errors.New(failure.Error()), d.now().Add(wait)
	return d.failed
}

// dialOne connects to a server and binds.
func (d *dialer) dialOne(ctx context.Context, u *url.URL) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, stepsToConnect*d.timeout)
	defer cancel()
	c, err := d.connect(ctx, u)
	if err != nil {
		return nil, explain(err)
	}
	if err := c.while(ctx, func() error { return d.begin(c, u) }); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// stepsToConnect are those that may take as long as an answer: connecting, TLS, and
// signing in.
const stepsToConnect = 3

func (d *dialer) connect(ctx context.Context, u *url.URL) (*conn, error) {
	dialed, err := (&net.Dialer{Timeout: d.timeout}).DialContext(ctx, "tcp", address(u))
	if err != nil {
		return nil, err
	}
	bounded := &boundedConn{Conn: dialed}
	bounded.allow(maxAnswers)
	secure := u.Scheme == "ldaps"
	var raw net.Conn = &firstConn{Conn: bounded, secure: secure}
	if secure {
		secured := tls.Client(raw, d.tlsFor(u))
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // it is of no use
			return nil, err
		}
		raw = secured
	}
	c := &conn{ldap: ldap.NewConn(raw, secure), dialer: d, bounded: bounded}
	c.ldap.SetTimeout(d.timeout)
	c.ldap.Start()
	return c, nil
}

func (d *dialer) tlsFor(u *url.URL) *tls.Config {
	config := d.tls.Clone()
	config.ServerName = u.Hostname()
	return config
}

// begin makes a new connection ready for searching.
func (d *dialer) begin(c *conn, u *url.URL) error {
	if d.startTLS {
		if err := c.ldap.StartTLS(d.tlsFor(u)); err != nil {
			return fmt.Errorf("start_tls: %w", err)
		}
	}
	return c.bindSearcher()
}

// conn is a connection, used by one goroutine at a time. Between two uses it is
// bound for searching.
type conn struct {
	ldap    *ldap.Conn
	dialer  *dialer
	bounded *boundedConn // below it
}

// while runs a question and gives it up when ctx ends. So much may come for it. Its
// error is explained.
func (c *conn) while(ctx context.Context, ask func() error) error {
	c.bounded.allow(maxAnswers)
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	err := ask()
	if ctx.Err() != nil {
		return fmt.Errorf("the directory has not answered in time: %w", ctx.Err())
	}
	return explain(err)
}

func (c *conn) close() { _ = c.ldap.Close() } // nothing was left to be written

// bindSearcher makes the connection one of the account that searches. Where users
// sign in directly, and there is no such account, it does nothing: many directories
// refuse those without a name.
func (c *conn) bindSearcher() error {
	if c.dialer.direct {
		return nil
	}
	if c.dialer.bindDN == "" {
		return c.ldap.UnauthenticatedBind("")
	}
	err := c.ldap.Bind(c.dialer.bindDN, c.dialer.password)
	switch {
	case err == nil:
		return nil
	case isRefusal(err):
		return &refusedError{dn: c.dialer.bindDN, err: err}
	default: // it was busy, or went away: that says nothing about the account
		return fmt.Errorf("sign in as bind_dn %q: %w", c.dialer.bindDN, err)
	}
}
