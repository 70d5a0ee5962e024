package middleware

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzForwardedFor: whatever a chain says, the client is an address of it or not
// known, never the peer, and never a trusted one if an untrusted one stands
// before the first that cannot be read.
func FuzzForwardedFor(f *testing.F) {
	for _, chain := range []string{"192.0.2.7", "192.0.2.7, 10.2.2.2", "unknown", "", ",,", "[::1]:80", "::ffff:10.0.0.1"} {
		f.Add(chain)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	peer := netip.MustParseAddr("10.1.1.1")
	f.Fuzz(func(t *testing.T, chain string) {
		got := lastUntrusted([]string{chain}, trusted, peer)
		if got.Zone() != "" || got.Is4In6() || got == peer && !strings.Contains(chain, "10.1.1.1") {
			t.Errorf("%q: %v", chain, got)
		}
		if more := lastUntrusted([]string{chain, "192.0.2.9"}, trusted, peer); more != netip.MustParseAddr("192.0.2.9") {
			t.Errorf("%q decides over a nearer address: %v", chain, more)
		}
	})
}
