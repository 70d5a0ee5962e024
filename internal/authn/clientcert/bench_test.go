package clientcert

import (
	"testing"

	"github.com/moorgate/moorgate/internal/authn/certtest"
)

// BenchmarkVerifyArrival is what each request pays: with a certificate that was seen
// before, and with one that was not.
func BenchmarkVerifyArrival(b *testing.B) {
	ca := certtest.NewAuthority(b, "Clients")
	c := Default()
	c.CA = certtest.Write(b, b.TempDir()+"/ca.pem", ca.PEM())
	s, err := Open("certs", c)
	if err != nil {
		b.Fatal(err)
	}
	a := arrival(b, ca.Client(b, "alice"))
	for name, forget := range map[string]bool{"seen": false, "new": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if forget {
					s.trust.Load().memory.verdicts = nil
				}
				if _, err := s.VerifyArrival(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
