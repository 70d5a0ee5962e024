package middleware

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/moorgate/moorgate/internal/reqctx"
)

// Client finds out who the client is and how it is connected. Forwarded headers
// count only when they come from one of the trusted proxies; of a chain, the
// last address that is not a trusted proxy is the client.
func Client(trusted []netip.Prefix) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := reqctx.WithClient(r.Context(), clientOf(r, trusted))
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

func clientOf(r *http.Request, trusted []netip.Prefix) reqctx.Client {
	peer := addrOf(r.RemoteAddr)
	c := reqctx.Client{Addr: peer, TLS: r.TLS != nil}
	if !contains(trusted, peer) {
		c.Private = c.TLS || peer.IsLoopback()
		return c
	}
	c.Addr = lastUntrusted(r.Header.Values("X-Forwarded-For"), trusted, peer)
	// Only the proxy knows how the client reached it: what it does not say, or
	// says twice, does not count.
	proto := r.Header.Values("X-Forwarded-Proto")
	c.TLS = len(proto) == 1 && proto[0] == "https"
	c.Private = c.TLS
	return c
}

// addrOf reads "address:port"; the zero address if it is something else, such
// as the peer of a Unix socket.
func addrOf(hostPort string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// lastUntrusted walks the addresses from the nearest on. Without a header the
// proxy itself is the client. Where an entry is no address the client is not
// known, and the zero address: it must not pass for the proxy, which stands
// inside.
func lastUntrusted(headers []string, trusted []netip.Prefix, peer netip.Addr) netip.Addr {
	if len(headers) == 0 {
		return peer
	}
	chain := strings.Split(strings.Join(headers, ","), ",")
	addr := peer
	for i := len(chain) - 1; i >= 0; i-- {
		addr = forwardedAddr(strings.TrimSpace(chain[i]))
		if !contains(trusted, addr) {
			return addr
		}
	}
	return addr
}

// forwardedAddr reads an address as proxies write it: alone, in brackets, or with
// the port of the client; the zero address if it is something else.
func forwardedAddr(text string) netip.Addr {
	if addr := addrOf(text); addr.IsValid() {
		return addr
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
