package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/certtest"
	"github.com/moorgate/moorgate/internal/certs"
)

// TestAskClients asks for certificates, takes any, and tells whose ones count as long
// as that fits into a message.
func TestAskClients(t *testing.T) {
	t.Parallel()
	pair, res := loaded(t)
	one := certtest.NewAuthority(t, "Clients").Cert
	var many []*x509.Certificate
	for range 40 {
		many = append(many, certtest.NewAuthority(t, "Clients", func(c *x509.Certificate) { c.Subject.Organization = []string{strings.Repeat("x", 2000)} }).Cert)
	}
	stranger := certtest.NewAuthority(t, "Others").Client(t, "x")
	for name, tt := range map[string]struct {
		authorities []*x509.Certificate
		told        int
	}{
		"one":  {[]*x509.Certificate{one}, 1},
		"none": {nil, 0},
		"more": {many, 0},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			server := certs.AskClients(certs.ServerConfig(pair), func() []*x509.Certificate { return tt.authorities })
			told := -1
			client := &tls.Config{RootCAs: pool(t, res.CACert), ServerName: "a.example", MaxVersion: version, NextProtos: []string{"h2"}}
			client.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				told = len(i.AcceptableCAs)
				return stranger, nil
			}
			near, far := net.Pipe()
			seen := make(chan tls.ConnectionState, 1)
			go func() {
				c := tls.Server(far, server)
				_ = c.HandshakeContext(t.Context()) // the client says what went wrong
				seen <- c.ConnectionState()
			}()
			c := tls.Client(near, client)
			if err := c.HandshakeContext(t.Context()); err != nil {
				t.Errorf("%s, %#x: %v", name, version, err)
				_ = near.Close()
				continue
			}
			if s := <-seen; told != tt.told || len(s.PeerCertificates) != 1 || s.NegotiatedProtocol != "h2" {
				t.Errorf("%s, %#x: clients are told of %d authorities, %d certificates are seen", name, version, told, len(s.PeerCertificates))
			}
			_ = near.Close()
		}
	}
}
