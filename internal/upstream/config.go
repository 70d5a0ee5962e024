package upstream

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"
)

// defaultTimeout is that of the nginx recipe for slow registries.
const defaultTimeout = 900 * time.Second

// secret is text that nobody prints by mistake. It is behind a pointer, as fmt
// asks no methods of unexported fields.
type secret struct{ text *string }

// newSecret hides text.
func newSecret(text string) secret { return secret{&text} }

// empty reports whether there is no text.
func (s secret) empty() bool { return s.text == nil }

// reveal returns the text.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// is reports whether both are the same text.
func (s secret) is(other secret) bool { return s.reveal() == other.reveal() }

// String shows the Config without the password.
func (c Config) String() string {
	return fmt.Sprintf("{url: %s, username: %s, password: redacted}", withoutUser(c.URL), c.Username)
}

// GoString is String, for %#v.
func (c Config) GoString() string { return "upstream.Config" + c.String() }

// LogValue is String, for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// withoutUser cuts what stands before an @, which may be a password.
func withoutUser(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return "redacted" + address[i:]
	}
	return address
}

// timeout is Timeout, or its default.
func (c Config) timeout() time.Duration {
	if c.Timeout == 0 {
		return defaultTimeout
	}
	return c.Timeout
}

// endpoint is where a registry listens.
type endpoint struct {
	scheme string // "http" or "https"
	host   string // host or host:port; "localhost" for a socket
	socket string // path of a Unix socket; "" for TCP
}

// base is the address of the API.
func (e endpoint) base() *url.URL { return &url.URL{Scheme: e.scheme, Host: e.host, Path: "/v2/"} }

// endpoint reads URL. No error repeats it, as it may hold a password.
func (c Config) endpoint() (endpoint, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "unix" {
		return endpoint{}, errors.New("upstream url: write http://host:port, https://host or unix:/path/of/socket")
	}
	switch {
	case u.User != nil:
		return endpoint{}, errors.New("upstream url: take the user out of it, and set username and password_file instead")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return endpoint{}, errors.New("upstream url: take out what follows the ? or #; a registry has no such address")
	case u.Scheme == "unix":
		return socketEndpoint(u)
	default:
		return hostEndpoint(u)
	}
}

// socketEndpoint reads unix:/path.
func socketEndpoint(u *url.URL) (endpoint, error) {
	if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" {
		return endpoint{}, errors.New("upstream url: write the full path of the socket, as in unix:/run/registry.sock")
	}
	return endpoint{scheme: "http", host: "localhost", socket: u.Path}, nil
}

// hostEndpoint reads http://host:port and https://host:port.
func hostEndpoint(u *url.URL) (endpoint, error) {
	if u.Hostname() == "" {
		return endpoint{}, fmt.Errorf("upstream url: the host is missing; write %s://host:port", u.Scheme)
	}
	if u.Path != "" && u.Path != "/" {
		return endpoint{}, fmt.Errorf("upstream url: take out the path %q; the API of a registry is always at /v2/, so write %s://%s", u.Path, u.Scheme, u.Host)
	}
	return endpoint{scheme: u.Scheme, host: strings.TrimSuffix(u.Host, ":")}, nil
}

// validate checks the settings that stand for themselves.
func (c Config) validate() error {
	switch {
	case c.Timeout < 0:
		return errors.New("upstream timeout: must not be negative; leave it out for 900s")
	case c.PassCredentials && (c.Username != "" || c.Password != ""):
		return errors.New("upstream pass_credentials: either pass those of clients on, or set username and password of the gateway, not both")
	case c.Username == "" && c.Password != "":
		return errors.New("upstream username: missing, and there is a password; set it")
	case c.Username != "" && c.Password == "":
		return errors.New("upstream password: missing for the username; set password_file")
	case strings.Contains(c.Username, ":"):
		return errors.New("upstream username: must not hold a colon; HTTP Basic cannot carry it")
	case strings.ContainsFunc(c.Username+c.Password, isControl):
		return errors.New("upstream username, password: must not hold control characters; look for a line break at the end of the file")
	}
	return nil
}

// isControl tells what RFC 7617 section 2 keeps out of users and passwords.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// roots reads the authorities to trust; nil for those of the system.
func (c Config) roots() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil //nolint:nilnil // crypto/tls takes nil for the pool of the system
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("upstream ca: %w; name a readable PEM file", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("upstream ca: %s holds no certificate; name a PEM file with the authorities of the registry", c.CA)
	}
	return pool, nil
}
