package login_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/login"
)

// doorman lets in whoever comes from its network.
type doorman struct{ network netip.Prefix }

func (d doorman) VerifyArrival(_ context.Context, a authn.Arrival) (access.Identity, error) {
	if d.network.Contains(a.Peer) {
		return access.Identity{User: "alice", Source: "front"}, nil
	}
	return access.Identity{}, authn.ErrNoMatch
}

// Networks of a configuration have no zones (RFC 4007), and IPv4 addresses in them no
// IPv6 form.
func TestPeersAreComparedWithoutTheirZone(t *testing.T) {
	t.Parallel()
	for peer, network := range map[string]string{
		"[fe80::1%eth0]:1234":      "fe80::/10",
		"[fe80::1]:1234":           "fe80::1/128",
		"[::ffff:192.0.2.7]:1234":  "192.0.2.0/24",
		"[::ffff:192.0.2.7%1]:123": "192.0.2.0/24",
	} {
		d := login.Desk{Presence: doorman{netip.MustParsePrefix(network)}}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		if who, err := d.Present(r); err != nil || who.User != "alice" {
			t.Errorf("%s: %+v, %v", peer, who, err)
		}
	}
	d := login.Desk{Presence: doorman{netip.MustParsePrefix("::/0")}}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "@" // a Unix socket
	if who, err := d.Present(r); err != nil || !who.IsAnonymous() {
		t.Errorf("an address that is none: %+v, %v", who, err)
	}
}
