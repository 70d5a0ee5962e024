// Package upstream is the client side of the gateway: it reaches one registry,
// over TLS or a Unix socket, with credentials of its own.
package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/moorgate/moorgate/internal/access"
)

// Errors of Do and Check, to compare with by errors.Is. None of their texts
// holds a secret.
var (
	// ErrUnreachable says that no answer came: the registry, or its token
	// server, is not there, is not trusted, or broke the connection.
	ErrUnreachable = errors.New("the upstream registry cannot be reached")

	// ErrTimeout says that the registry, or its token server, took the request
	// and did not answer in time.
	ErrTimeout = errors.New("the upstream registry did not answer in time")

	// ErrCredentials says that the registry refuses the credentials of the
	// gateway, or wants them where they may not go.
	ErrCredentials = errors.New("the upstream registry does not let the gateway in")

	// ErrBody says that the body of the request could not be read to its end: the
	// client went away, was too slow or sent too much. The cause is wrapped too.
	ErrBody = errors.New("the body of the request broke off")
)

// Config says how to reach a registry.
type Config struct {
	URL      string        `yaml:"url"`        // http://host:port, https://host, or unix:/path/of/socket
	CA       string        `yaml:"ca"`         // PEM file of the authorities to trust, and no others; "" for those of the system
	Username string        `yaml:"username"`   // of the gateway itself; "" for none
	Password string        `yaml:"-" json:"-"` // read from PasswordFile or the environment by the caller
	Realms   []string      `yaml:"realms"`     // hosts besides that of URL whose token servers may get the credentials: host or host:port
	Timeout  time.Duration `yaml:"timeout"`    // for the first byte of an answer; 0: 900 s

	PasswordFile    string `yaml:"password_file"`
	PassCredentials bool   `yaml:"pass_credentials"` // the Authorization of clients goes to the upstream, and none of ours
}

// Upstream is one registry. It may be used at once by many.
type Upstream struct {
	at      endpoint
	sender  *sender
	login   *login // nil: the Authorization of clients is passed on
	health  health
	flights singleflight.Group
}

// New opens nothing but the CA file: the registry may be down.
//
// Errors: a Config that cannot work, in one line that says what to do.
func New(c Config) (*Upstream, error) {
	at, err := c.endpoint()
	if err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	allowed, err := newRealms(at, c.Realms)
	if err != nil {
		return nil, err
	}
	u := &Upstream{at: at, sender: newSender(c, at, roots), health: health{fresh: healthFresh, now: time.Now}}
	if !c.PassCredentials {
		u.login = newLogin(c, at, allowed, u.sender)
	}
	return u, nil
}

// Close ends the connections that nobody uses. Those in use end when their
// answers have been read. It returns nil.
func (u *Upstream) Close() error {
	u.sender.close()
	return nil
}

// Do sends a request and returns the answer as it comes, whatever its status.
// Path, query, header and body of r are taken as they are; scheme, the host to
// connect to, and Authorization are set here: credentials of the gateway, for
// grants. Host is that of r only where it decides about nothing (see hostFor). In
// the Request of the answer stands where it came from, and no credentials. GET and HEAD are tried again when the connection fails or the
// answer is 502, 503 or 504; nothing else ever is, but for a 401 before the first
// byte of the body was read. A 401 comes through only where the gateway has no
// credentials of its own.
//
// Do does not change r, and does not close its body, as it belongs to a server.
// An answer may come before the body was read to its end, and then the body is
// read on. The caller closes the body of the answer, and after that the body of
// the request. Reading an answer fails with ErrTimeout when the registry sends
// nothing more for as long as it may wait with the first byte.
//
// Errors: ErrUnreachable, ErrTimeout, ErrCredentials, ErrBody; that of the
// context of r as it is.
func (u *Upstream) Do(r *http.Request, grants []access.Grant) (*http.Response, error) {
	b := bodyOf(r)
	if u.login == nil {
		return u.send(r, b, r.Header.Values("Authorization"))
	}
	p, err := u.login.pass(r.Context(), grants)
	if err != nil {
		return nil, err
	}
	resp, err := u.send(r, b, p.values())
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return u.again(r, b, p, grants, resp)
}

// again answers for a request that the registry refused with 401, although it
// carried pass p: it is sent once more with a better pass if there is one and if
// that can be done.
func (u *Upstream) again(r *http.Request, b *body, p pass, grants []access.Grant, refused *http.Response) (*http.Response, error) {
	better, err := u.login.renew(r.Context(), p, grants, refused.Header.Values("WWW-Authenticate"))
	if errors.Is(err, errNoBetter) {
		return u.refuse(b, refused, "check username and password of the gateway, and what that user may do there")
	}
	if err != nil {
		b.stop()
		drain(refused)
		return nil, err
	}
	second, ok := b.again(r.GetBody)
	if !ok {
		return u.refuse(b, refused, "the request cannot be sent once more, as its body was begun; let the client try again")
	}
	drain(refused)
	resp, err := u.send(r, second, better.values())
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	u.login.forget(better)
	return u.refuse(second, resp, "check what the user of the gateway may do there")
}

// refuse is the end of a request that the registry does not let in. Without
// credentials of the gateway the client sees the answer.
func (u *Upstream) refuse(b *body, refused *http.Response, hint string) (*http.Response, error) {
	if u.login.anonymous() {
		return refused, nil
	}
	b.stop()
	drain(refused)
	return nil, fmt.Errorf("%w: it answered 401; %s", ErrCredentials, hint)
}

// send sends r to the registry with the given Authorization.
func (u *Upstream) send(r *http.Request, b *body, authorization []string) (*http.Response, error) {
	resp, err := u.sender.send(u.sender.registry, u.outgoing(r, b, authorization), b)
	if resp != nil {
		resp.Request = u.placed(r) // the one that was sent holds our credentials
	}
	return resp, err
}

// placed is r with the address that it was sent to.
func (u *Upstream) placed(r *http.Request) *http.Request {
	sent := *r
	at := *r.URL
	at.Scheme, at.Host = u.at.scheme, u.at.host
	sent.URL = &at
	return &sent
}

// hostFor returns what the registry is called in a request: as the client called
// the gateway, as registries that stand behind a proxy are used to. But where a
// name may lead elsewhere, to another registry behind the same address, a client
// must not choose who gets our credentials, nor who answers over TLS.
func (u *Upstream) hostFor(r *http.Request) string {
	if u.at.scheme == "https" || u.login != nil && !u.login.anonymous() {
		return u.at.host
	}
	return r.Host
}

// outgoing returns the request that the registry sees. What belongs to the
// connection of the client, such as its wish to close it, stays behind.
func (u *Upstream) outgoing(r *http.Request, b *body, authorization []string) *http.Request {
	out := (&http.Request{
		Method:           r.Method,
		URL:              &url.URL{Scheme: u.at.scheme, Host: u.at.host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery},
		Host:             u.hostFor(r),
		Proto:            "HTTP/1.1", // net/http waits for "100 Continue" only with it; HTTP/2 is up to the connection
		ProtoMajor:       1,
		ProtoMinor:       1,
		Header:           r.Header.Clone(),
		ContentLength:    r.ContentLength,
		TransferEncoding: r.TransferEncoding,
		Trailer:          r.Trailer,
	}).WithContext(r.Context())
	if b != nil {
		out.Body = b
	}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	delete(out.Header, "Authorization")
	if len(authorization) > 0 {
		out.Header["Authorization"] = authorization
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // or net/http adds one of its own
	}
	hideIdempotencyKey(out)
	return out
}
