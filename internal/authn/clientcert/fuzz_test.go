package clientcert

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"
	"unicode"
)

// FuzzNames gives names to certificates. Whoever is let in has a name that can be
// seen and cannot be mistaken for another, and it is the one in the certificate.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"alice", "a b", "admin\x00", "\u202enimda", "*.example.com", "A.example.com", "a@example.com", "a@b@example.com", "spiffe://example.org/a", "SPIFFE://example.org/a/../b", "spiffe://example.org/%61"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		cert := &x509.Certificate{
			KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{name}, EmailAddresses: []string{name},
			Subject: pkix.Name{Names: []pkix.AttributeTypeAndValue{{Type: commonName, Value: name}, {Type: organizationalUnit, Value: name}}},
		}
		if u, err := url.Parse(name); err == nil {
			cert.URIs = []*url.URL{u}
		}
		for _, c := range []Config{
			{User: byCN, Groups: byOU}, {User: byDNS, Domains: []string{"example.com"}}, {User: byEmail, Domains: []string{"example.com"}}, {User: bySPIFFE, TrustDomain: "example.org"},
		} {
			who, err := c.identity("certs", cert)
			if err != nil {
				if who.User != "" {
					t.Errorf("%s: %q comes with an error", c.User, who.User)
				}
				continue
			}
			if !strings.EqualFold(who.User, name) || strings.ContainsFunc(who.User, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s: %q is let in as %q", c.User, name, who.User)
			}
			if len(c.Domains) > 0 && !strings.HasSuffix(who.User, "example.com") {
				t.Errorf("%s: %q is outside", c.User, who.User)
			}
			if c.User == bySPIFFE && !strings.HasPrefix(who.User, "spiffe://example.org/") {
				t.Errorf("%q is of another trust domain", who.User)
			}
		}
	})
}
