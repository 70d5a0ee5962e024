// Package loopback tells this machine from others, by the name in a URL: what is sent
// here nobody reads on the way.
package loopback

import "net/netip"

// Is reports whether host, without a port, is this machine: "localhost", or an address
// of the loopback (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3). Other names are
// not looked up: who answers for them could change.
func Is(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
