package middleware_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moorgate/moorgate/internal/middleware"
	"github.com/moorgate/moorgate/internal/reqctx"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for name, test := range map[string]struct {
		peer   string
		tls    bool
		header http.Header
		want   string // "" if the address is not known
		secure bool   // reqctx.Client.TLS
		secret bool   // reqctx.Client.Private
	}{
		"plain":                                {"192.0.2.7:1234", false, nil, "192.0.2.7", false, false},
		"TLS":                                  {"192.0.2.7:1234", true, nil, "192.0.2.7", true, true},
		"IPv6":                                 {"[2001:db8::7]:1234", false, nil, "2001:db8::7", false, false},
		"IPv6 with a zone":                     {"[fe80::7%eth0]:1234", false, nil, "fe80::7", false, false},
		"IPv4 in IPv6":                         {"[::ffff:192.0.2.7]:1234", false, nil, "192.0.2.7", false, false},
		"same machine":                         {"127.0.0.2:1234", false, nil, "127.0.0.2", false, true},
		"same machine, IPv6":                   {"[::1]:1234", false, nil, "::1", false, true},
		"same machine, IPv4 in IPv6":           {"[::ffff:127.0.0.2]:1234", false, nil, "127.0.0.2", false, true},
		"not an address":                       {"@", false, nil, "", false, false},
		"not an address, forwarded":            {"@", false, forwarded("192.0.2.7"), "", false, false},
		"forged by a client":                   {"192.0.2.7:1234", false, forwarded("127.0.0.1", "https"), "192.0.2.7", false, false},
		"forged by the same machine":           {"127.0.0.2:1234", false, forwarded("192.0.2.1"), "127.0.0.2", false, true},
		"forged, TLS":                          {"192.0.2.7:1234", true, forwarded("192.0.2.1", "http"), "192.0.2.7", true, true},
		"proxy":                                {"10.1.1.1:1234", false, forwarded("192.0.2.7", "https"), "192.0.2.7", true, true},
		"proxy that took plain HTTP":           {"10.1.1.1:1234", false, forwarded("192.0.2.7", "http"), "192.0.2.7", false, false},
		"proxy that took plain HTTP, then TLS": {"10.1.1.1:1234", true, forwarded("192.0.2.7", "http"), "192.0.2.7", false, false},
		"proxy that says nothing, by TLS":      {"10.1.1.1:1234", true, nil, "10.1.1.1", false, false},
		"proxy that says two things, by TLS":   {"10.1.1.1:1234", true, forwarded("192.0.2.7", "https", "https"), "192.0.2.7", false, false},
		"proxy that says nothing":              {"10.1.1.1:1234", false, nil, "10.1.1.1", false, false},
		"proxy on this machine that does not say how it was reached": {"127.0.0.1:1234", false, forwarded("192.0.2.7"), "192.0.2.7", false, false},
		"proxy that says two things":                                 {"10.1.1.1:1234", false, forwarded("192.0.2.7", "https", "http"), "192.0.2.7", false, false},
		"proxy that says something else":                             {"10.1.1.1:1234", true, forwarded("192.0.2.7", "HTTPS, http"), "192.0.2.7", false, false},
		"proxy, IPv6":                                                {"[fd00::1]:1234", false, forwarded("2001:db8::7", "https"), "2001:db8::7", true, true},
		"proxy, IPv4 in IPv6":                                        {"[::ffff:10.1.1.1]:1234", false, forwarded("::ffff:192.0.2.7"), "192.0.2.7", false, false},
		"client claims to come from elsewhere":                       {"10.1.1.1:1234", false, forwarded("198.51.100.1, 192.0.2.7"), "192.0.2.7", false, false},
		"two proxies":                                                {"10.1.1.1:1234", false, forwarded("192.0.2.7, 10.2.2.2"), "192.0.2.7", false, false},
		"two proxies, client claims":                                 {"10.1.1.1:1234", false, forwarded("127.0.0.1,192.0.2.7,10.2.2.2"), "192.0.2.7", false, false},
		"only proxies":                                               {"10.1.1.1:1234", false, forwarded("10.3.3.3, 10.2.2.2"), "10.3.3.3", false, false},
		"nonsense is where it ends":                                  {"10.1.1.1:1234", false, forwarded("192.0.2.7, unknown, 10.2.2.2"), "", false, false},
		"nonsense is all":                                            {"10.1.1.1:1234", false, forwarded("<script>"), "", false, false},
		"nonsense behind the client":                                 {"10.1.1.1:1234", false, forwarded("nonsense, 192.0.2.7"), "192.0.2.7", false, false},
		"empty":                                                      {"10.1.1.1:1234", false, forwarded(""), "", false, false},
		"empty entry":                                                {"10.1.1.1:1234", false, forwarded("192.0.2.7,"), "", false, false},
		"address with a port":                                        {"10.1.1.1:1234", false, forwarded("192.0.2.7:80"), "192.0.2.7", false, false},
		"IPv6 with a port":                                           {"10.1.1.1:1234", false, forwarded("[2001:db8::7]:80"), "2001:db8::7", false, false},
		"two proxies, with ports":                                    {"10.1.1.1:1234", false, forwarded("192.0.2.7:80, 10.2.2.2:90"), "192.0.2.7", false, false},
		"a name with a port":                                         {"10.1.1.1:1234", false, forwarded("localhost:80"), "", false, false},
		"address in brackets":                                        {"10.1.1.1:1234", false, forwarded("[2001:db8::7]"), "2001:db8::7", false, false},
		"several headers":                                            {"10.1.1.1:1234", false, http.Header{"X-Forwarded-For": {"192.0.2.1", "192.0.2.7, 10.2.2.2"}}, "192.0.2.7", false, false},
		"other headers":                                              {"10.1.1.1:1234", false, http.Header{"X-Real-Ip": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.1;proto=https"}}, "10.1.1.1", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr = test.peer
			if test.header != nil {
				r.Header = test.header
			}
			if test.tls {
				r.TLS = &tls.ConnectionState{}
			}
			var got reqctx.Client
			middleware.Client(trusted)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = reqctx.ClientOf(r.Context())
			})).ServeHTTP(httptest.NewRecorder(), r)
			want := reqctx.Client{TLS: test.secure, Private: test.secret}
			if test.want != "" {
				want.Addr = netip.MustParseAddr(test.want)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("client (-want +got):\n%s", diff)
			}
		})
	}
}

// forwarded are the headers of a proxy: the chain of addresses, and how the
// client was connected.
func forwarded(chain string, proto ...string) http.Header {
	h := http.Header{"X-Forwarded-For": {chain}}
	if len(proto) > 0 {
		h["X-Forwarded-Proto"] = proto
	}
	return h
}
