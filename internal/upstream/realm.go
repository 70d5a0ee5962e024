package upstream

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/moorgate/moorgate/internal/loopback"
)

// longestRealm is the length of addresses that are worth talking to.
const longestRealm = 2048

// realms tells which token servers the gateway talks to: that of the registry
// itself, and those that the operator names. A registry that names another one
// could be after the credentials, or after a host that only the gateway reaches.
type realms struct {
	scheme  string          // of the registry
	own     string          // its host:port
	allowed map[string]bool // host, for all its ports, or host:port; in lower case
}

// newRealms reads the setting.
func newRealms(at endpoint, hosts []string) (realms, error) {
	r := realms{scheme: at.scheme, own: hostPort(at.base()), allowed: map[string]bool{}}
	for _, h := range hosts {
		u, err := url.Parse("//" + h)
		bare := err == nil && u.Host == h && u.Hostname() != "" && !strings.HasSuffix(h, ":") && (h[0] == '[' || strings.Count(h, ":") < 2)
		if !bare {
			return realms{}, fmt.Errorf("upstream realms: %q is not a host; write it as auth.example.com, auth.example.com:5001 or [::1]:5001", withoutUser(h))
		}
		key := strings.ToLower(u.Hostname())
		if u.Port() != "" {
			key = net.JoinHostPort(key, u.Port())
		}
		r.allowed[key] = true
	}
	return r, nil
}

// check returns the address of a token server that a registry named, and whether
// it is the registry's own.
//
// Errors: ErrCredentials if nobody allowed it, or if it is open to eavesdroppers.
func (r realms) check(realm string) (*url.URL, bool, error) {
	u, err := url.Parse(realm)
	if err != nil || len(realm) > longestRealm || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, false, fmt.Errorf("%w: the token server that it names has no usable address", ErrCredentials)
	}
	host, at := strings.ToLower(u.Hostname()), hostPort(u)
	own := at == r.own
	if !own && !r.allowed[host] && !r.allowed[at] {
		return nil, false, fmt.Errorf("%w: it asks to log in at the token server %s://%s; if you trust that with the gateway's credentials, add %q to realms", ErrCredentials, u.Scheme, u.Host, u.Host)
	}
	if u.Scheme == "http" && !loopback.Is(host) && (!own || r.scheme != "http") {
		return nil, false, fmt.Errorf("%w: the token server %s://%s is not encrypted; let the registry name it with https", ErrCredentials, u.Scheme, u.Host)
	}
	return u, own, nil
}

// hostPort is the host of an address in lower case, with the port that it means.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
