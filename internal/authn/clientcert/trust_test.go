package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/certtest"
)

// damages are files that cannot be those of authorities, by what the error says.
func damages(t *testing.T, ca *certtest.Authority) map[string]string {
	leaf := ca.Client(t, "alice")
	leafPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}))
	key := "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	return map[string]string{
		"there is no certificate in":              "",
		`certificate 1, of "CN=alice", is not`:    leafPEM,
		`certificate 2, of "CN=alice", is not`:    ca.PEM() + leafPEM,
		"cut off":                                 ca.PEM()[:200],
		"damaged":                                 ca.PEM() + ca.PEM()[:200],
		`there is a "PRIVATE KEY" in it`:          ca.PEM() + key,
		"certificate 1: x509":                     "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"there are 101 authorities":               strings.Repeat(ca.PEM(), 101),
		"larger than 1 MiB":                       strings.Repeat("#", 1<<20+1),
		`certificate 1, of "CN=signs", is not th`: certtest.NewAuthority(t, "signs", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }).PEM(),
	}
}

func TestBadAuthorities(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t, "Clients")
	s, alice := open(t, ca.PEM()), ca.Client(t, "alice")
	for want, text := range damages(t, ca) {
		certtest.Write(t, s.cfg.CA, text)
		if _, err := Open("certs", s.cfg); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "(ca)") || !strings.Contains(err.Error(), s.cfg.CA) {
			t.Errorf("open: %v; want %q", err, want)
		}
		if err := s.Reload(); err == nil {
			t.Errorf("reload: no error; want %q", want)
		}
		wantUser(t, s, alice, "alice") // by the last good ones
	}
	if err := os.Remove(s.cfg.CA); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("reload: %v", err)
	}
	wantUser(t, s, alice, "alice")
}

// TestAuthoritiesChange takes an authority away and gives another: what was verified
// before is forgotten.
func TestAuthoritiesChange(t *testing.T) {
	t.Parallel()
	old, young := certtest.NewAuthority(t, "Old"), certtest.NewAuthority(t, "Young")
	s := open(t, old.PEM())
	alice, bob := old.Client(t, "alice"), young.Client(t, "bob")
	reload := func(pem string) {
		t.Helper()
		certtest.Write(t, s.cfg.CA, pem)
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	wantUser(t, s, alice, "alice")
	wantRefused(t, s, bob, "no authority")
	reload(old.PEM() + young.PEM())
	wantUser(t, s, alice, "alice")
	wantUser(t, s, bob, "bob")
	reload(young.PEM())
	wantRefused(t, s, alice, "no authority")
	wantUser(t, s, bob, "bob")
	if got := s.Authorities(); len(got) != 1 || !got[0].Equal(young.Cert) {
		t.Errorf("clients are told of %d authorities", len(got))
	}
}

// TestVerdictsEnd looks again and again, while time goes by.
func TestVerdictsEnd(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t, "Clients")
	s := open(t, ca.PEM())
	start := time.Now()
	at := func(d time.Duration) { s.now = func() time.Time { return start.Add(d) } }
	soon, short := ca.Client(t, "soon", valid(10*time.Second, time.Hour)), ca.Client(t, "short", valid(-time.Hour, 10*time.Second))
	between := ca.Below(t, "Short", valid(-time.Hour, 10*time.Second)).Client(t, "below")
	wantRefused(t, s, soon, "mend the clock")
	wantUser(t, s, short, "short")
	wantUser(t, s, between, "below")
	at(4 * time.Second)
	wantUser(t, s, short, "short")
	at(12 * time.Second)
	wantUser(t, s, soon, "soon")
	wantRefused(t, s, short, "renew it")
	wantRefused(t, s, between, "refused")
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var m memory
	now := time.Now()
	for i := range 3 * maxVerdicts {
		m.put(verdictKey{byte(i), byte(i >> 8)}, verdict{until: now.Add(time.Hour)})
		if len(m.verdicts) > maxVerdicts {
			t.Fatalf("%d verdicts are remembered", len(m.verdicts))
		}
	}
	key := verdictKey{1, 2, 3}
	m.put(key, verdict{until: now})
	if _, ok := m.get(key, now); ok {
		t.Error("a verdict outlives its time")
	}
	if _, ok := m.get(key, now.Add(-1)); !ok {
		t.Error("a verdict ends before its time")
	}
}

// listed opens a source with revocation lists, whose file is crl.
func listed(t *testing.T, pem, crl string) *Source {
	t.Helper()
	return open(t, pem, func(c *Config) { c.CRL = certtest.Write(t, filepath.Join(t.TempDir(), "crl.pem"), crl) })
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t, "Clients")
	teams, gone := ca.Below(t, "Teams"), ca.Below(t, "Gone")
	alice, bob, carol, dave := ca.Client(t, "alice"), ca.Client(t, "bob"), teams.Client(t, "carol"), teams.Client(t, "dave")
	now := time.Now().Add(-time.Minute)
	goneCert := &tls.Certificate{Leaf: gone.Cert}
	s := listed(t, ca.PEM(), ca.List(t, now, []*tls.Certificate{bob, goneCert})+teams.List(t, now, []*tls.Certificate{dave})+gone.List(t, now, nil))
	wantUser(t, s, alice, "alice")
	wantUser(t, s, carol, "carol")
	for range 2 {
		wantRefused(t, s, bob, "revoked")
		wantRefused(t, s, dave, `revoked by "CN=Teams"`)
		wantRefused(t, s, gone.Client(t, "erin"), "revoked")
	}
	// The latest list counts, in whatever order they are.
	certtest.Write(t, s.cfg.CRL, ca.List(t, now.Add(time.Second), []*tls.Certificate{alice})+ca.List(t, now, []*tls.Certificate{bob}))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, s, alice, "revoked")
	wantUser(t, s, bob, "bob")
	wantFault(t, s, carol, `no revocation list of "CN=Teams"`)
}

func TestListInDER(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t, "Clients")
	bob := ca.Client(t, "bob")
	block, _ := pem.Decode([]byte(ca.List(t, time.Now().Add(-time.Minute), []*tls.Certificate{bob})))
	wantRefused(t, listed(t, ca.PEM(), string(block.Bytes)), bob, "revoked")
}

// TestListsThatCannotTell lets nobody in by lists that are out of date, of others or
// not there.
func TestListsThatCannotTell(t *testing.T) {
	t.Parallel()
	ca, other := certtest.NewAuthority(t, "Clients"), certtest.NewAuthority(t, "Others")
	alice, now := ca.Client(t, "alice"), time.Now()
	for name, tt := range map[string]struct{ crl, why string }{
		"out of date": {ca.List(t, now.Add(-2*time.Hour), nil), "is out of date since"},
		"of tomorrow": {ca.List(t, now.Add(24*time.Hour), nil), "mend the clock"},
		"of others":   {other.List(t, now.Add(-time.Minute), nil), "there is no revocation list of"},
	} {
		s := listed(t, ca.PEM(), tt.crl)
		wantFault(t, s, alice, tt.why)
		if _, err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: the probe says %v", name, err)
		}
		if got := fmt.Sprint(s.Warnings()); !strings.Contains(got, tt.why) {
			t.Errorf("%s: warnings %s", name, got)
		}
	}
	s := listed(t, ca.PEM(), ca.List(t, now.Add(-time.Minute), nil))
	wantUser(t, s, alice, "alice")
	s.now = func() time.Time { return now.Add(time.Hour) } // what is remembered ends with the list
	wantFault(t, s, alice, "out of date")

	// With the first of those that are needed.
	teams := ca.Below(t, "Teams")
	bob := teams.Client(t, "bob")
	s = listed(t, ca.PEM(), ca.List(t, now.Add(-time.Minute), nil)+teams.List(t, now.Add(-time.Minute), nil, func(l *x509.RevocationList) { l.NextUpdate = now.Add(2 * time.Hour) }))
	wantUser(t, s, bob, "bob")
	s.now = func() time.Time { return now.Add(time.Hour) }
	wantFault(t, s, bob, `"CN=Clients"`)
}

func TestBadLists(t *testing.T) {
	t.Parallel()
	ca, twin := certtest.NewAuthority(t, "Clients"), certtest.NewAuthority(t, "Clients")
	now := time.Now().Add(-time.Minute)
	s := listed(t, ca.PEM(), ca.List(t, now, nil))
	alice := ca.Client(t, "alice")
	critical := pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0x03, 0x81, 0x01, 0xff}}
	for want, text := range map[string]string{
		"it is no revocation list":       "",
		"list 1: it is no":               "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
		`there is a "CERTIFICATE" in it`: ca.PEM(),
		"damaged":                        ca.List(t, now, nil)[:100],
		"has a signature that is not of": twin.List(t, now, nil),
		"partial, delta or indirect":     ca.List(t, now, nil, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{critical} }),
		"list 2: the list of \"CN=Clients\"": ca.List(t, now, nil) + ca.List(t, now, []*tls.Certificate{alice}, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{critical}
		}),
	} {
		certtest.Write(t, s.cfg.CRL, text)
		if _, err := Open("certs", s.cfg); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "(crl)") {
			t.Errorf("open: %v; want %q", err, want)
		}
		if err := s.Reload(); err == nil {
			t.Errorf("reload: no error; want %q", want)
		}
		wantUser(t, s, alice, "alice")
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	good, ends, ended := certtest.NewAuthority(t, "Good"), certtest.NewAuthority(t, "Ends", valid(-time.Hour, 24*time.Hour)), certtest.NewAuthority(t, "Ended", valid(-time.Hour, -time.Minute))
	for name, tt := range map[string]struct {
		pem    string
		found  []string
		failed string
	}{
		"good":             {good.PEM(), []string{`certificates by "CN=Good" until `}, ""},
		"one ends":         {good.PEM() + ends.PEM(), []string{`"CN=Good"`, `warning: the authority "CN=Ends" ends on `}, ""},
		"one has ended":    {good.PEM() + ended.PEM(), []string{`warning: the authority "CN=Ended" has ended on `}, ""},
		"there is no good": {ended.PEM(), nil, "no authority in "},
	} {
		s := open(t, tt.pem)
		found, err := s.Probe(t.Context())
		if tt.failed != "" {
			if err == nil || !strings.Contains(err.Error(), tt.failed) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		for _, want := range tt.found {
			if err != nil || !strings.Contains(found, want) {
				t.Errorf("%s: %q, %v; want %q", name, found, err, want)
			}
		}
	}
}
