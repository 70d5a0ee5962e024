package proxy

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/moorgate/moorgate/internal/reqctx"
)

// hopByHop are the headers of one connection (RFC 9110, section 7.6.1), besides
// those that Connection names and those that begin with "Proxy-".
var hopByHop = map[string]bool{ //nolint:gochecknoglobals // a lookup table, never written
	"Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Proxy": true,
	"Http2-Settings": true, // RFC 7540, section 3.2.1
}

// claims are headers of requests by which a client could claim to be somebody
// else, or ask for something else than the gate has decided on: some servers
// believe them. A name that ends in "-" stands for all that begin so.
var claims = []string{ //nolint:gochecknoglobals // a lookup table, never written
	// Where the request comes from, and by what.
	"Forwarded", "X-Forwarded", "X-Forwarded-", "X-Forward-", "X-Real-Ip", "X-Host", "X-Scheme", "X-Url-Scheme", "Front-End-Https",
	"X-Client-", "X-Cluster-", "Client-Ip", "True-Client-Ip", "Cf-", "Fastly-", "X-Envoy-", "X-Amzn-", "X-Azure-", "X-Appengine-",
	// What it asks for.
	"X-Original-", "X-Rewrite-", "X-Http-Method", "X-Http-Method-", "X-Method-Override", "X-Accel-",
	// Who asks.
	"Remote-", "X-Remote-", "X-User", "X-User-", "X-Username", "X-Email", "X-Groups", "X-Roles", "X-Auth-", "X-Authenticated-",
	"X-Webauth-", "X-Token-", "X-Consumer-", "X-Credential-", "X-Goog-", "X-Ms-Client-", "X-Vouch-", "X-Authentik-", "X-Pomerium-",
	"Impersonate-", "X-Api-Key", "Ssl-", "X-Ssl-", "X-Tls-", "X-Client-Cert", "X-Arr-", "Client-Cert", "Client-Cert-", "Cookie",
}

// notForClients are headers of answers that are between the upstream and the
// gateway, or would lead clients around the gate.
var notForClients = []string{ //nolint:gochecknoglobals // a lookup table, never written
	"Www-Authenticate", "Authentication-Info", "Set-Cookie", "Set-Cookie2", "Alt-Svc", "X-Accel-",
}

func isOneOf(list []string, name string) bool {
	for _, entry := range list {
		if name == entry || strings.HasSuffix(entry, "-") && strings.HasPrefix(name, entry) {
			return true
		}
	}
	return false
}

// endToEnd copies the headers that are not of one connection.
func endToEnd(from http.Header) http.Header {
	named := map[string]bool{}
	for _, value := range from["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			named[textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	to := http.Header{}
	for name, values := range from {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if !hopByHop[canonical] && !named[canonical] && !strings.HasPrefix(canonical, "Proxy-") {
			to[name] = append([]string{}, values...)
		}
	}
	return to
}

// upstreamHeader returns what an upstream gets for a request: the headers of the
// client without those of its connection and its claims, and what the gateway
// knows itself. Authorization stays: the Doer decides about it.
func upstreamHeader(r *http.Request) http.Header {
	to := endToEnd(r.Header)
	for name := range to {
		if !plainName(name) || isOneOf(claims, textproto.CanonicalMIMEHeaderKey(name)) {
			delete(to, name)
		}
	}
	delete(to, "Content-Length") // that of the request itself counts
	if _, ok := to["User-Agent"]; !ok {
		to["User-Agent"] = []string{""} // or net/http would name itself
	}
	setForwarded(to, r)
	return to
}

// plainName reports whether a header name has letters, digits and "-" alone, and
// so looks the same to everybody: to CGI-like servers an "_" is a "-".
func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return name != ""
}

// setForwarded tells the upstream who the client is, as the gate knows it.
func setForwarded(to http.Header, r *http.Request) {
	client := reqctx.ClientOf(r.Context())
	if client.Addr.IsValid() {
		to.Set("X-Real-Ip", client.Addr.String())
		to.Set("X-Forwarded-For", client.Addr.String())
	}
	proto := "http"
	if client.TLS {
		proto = "https"
	}
	to.Set("X-Forwarded-Proto", proto)
	if r.Host != "" {
		to.Set("X-Forwarded-Host", r.Host)
	}
	if id := reqctx.ID(r.Context()); id != "" {
		to.Set("X-Request-Id", id) // the one in our log, and no client's
	}
}

// copyToClient adds the headers of an upstream's answer. What the gate has set
// already stays as it is.
func copyToClient(to, from http.Header) {
	for name, values := range endToEnd(from) {
		if isOneOf(notForClients, textproto.CanonicalMIMEHeaderKey(name)) {
			continue
		}
		if _, ours := to[name]; !ours {
			to[name] = values
		}
	}
}
