package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/authn/certtest"
)

// open opens a source that trusts what is in PEM, changed as wanted.
func open(t *testing.T, pem string, change ...func(*Config)) *Source {
	t.Helper()
	c := Default()
	c.CA = certtest.Write(t, filepath.Join(t.TempDir(), "ca.pem"), pem)
	for _, f := range change {
		f(&c)
	}
	c.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	s, err := Open("certs", c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// arrival is a request over a connection on which somebody has shown certificates.
func arrival(t testing.TB, pair *tls.Certificate) authn.Arrival {
	t.Helper()
	return authn.Arrival{TLS: &tls.ConnectionState{PeerCertificates: certtest.Shown(t, pair)}}
}

// wantUser checks whom somebody is taken for.
func wantUser(t *testing.T, s *Source, pair *tls.Certificate, user string) access.Identity {
	t.Helper()
	who, err := s.VerifyArrival(t.Context(), arrival(t, pair))
	if err != nil || who.User != user || who.Source != "certs" {
		t.Errorf("%+v, %v; want %q", who, err, user)
	}
	return who
}

// wantRefused checks that somebody is not let in, and why.
func wantRefused(t *testing.T, s *Source, pair *tls.Certificate, why string) {
	t.Helper()
	who, err := s.VerifyArrival(t.Context(), arrival(t, pair))
	if !errors.Is(err, authn.ErrNoMatch) || err == authn.ErrNoMatch || !strings.Contains(err.Error(), why) || who.User != "" { //nolint:errorlint // the bare one has no reason
		t.Errorf("%+v, %v; want it refused because of %q", who, err, why)
	}
}

// wantFault checks that a source cannot tell who somebody is, and why.
func wantFault(t *testing.T, s *Source, pair *tls.Certificate, why string) {
	t.Helper()
	who, err := s.VerifyArrival(t.Context(), arrival(t, pair))
	if err == nil || errors.Is(err, authn.ErrNoMatch) || !strings.Contains(err.Error(), why) || who.User != "" {
		t.Errorf("%+v, %v; want a fault because of %q", who, err, why)
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	ca, other := certtest.NewAuthority(t, "Clients"), certtest.NewAuthority(t, "Others")
	authntest.RunPresence(t, authntest.PresenceConfig{
		New:    func(t *testing.T) authn.Presence { return open(t, ca.PEM()) },
		Source: "certs",
		Known: map[string]authn.Arrival{
			"alice": arrival(t, ca.Client(t, "alice")), "bob": arrival(t, ca.Below(t, "Teams").Client(t, "bob")),
		},
		Nothing: map[string]authn.Arrival{"TLS without a certificate": {TLS: &tls.ConnectionState{}}},
		Strangers: map[string]authn.Arrival{
			"another authority": arrival(t, other.Client(t, "alice")), "nameless": arrival(t, ca.Client(t, "")),
		},
	})
}

// a change of a certificate.
type change = func(*x509.Certificate)

func subject(names ...string) change {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{}
		for i := 0; i < len(names); i += 2 {
			kind := map[string][]int{"CN": commonName, "O": organization, "OU": organizationalUnit}[names[i]]
			c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: kind, Value: names[i+1]})
		}
	}
}

func uris(texts ...string) change {
	return func(c *x509.Certificate) {
		for _, text := range texts {
			u, err := url.Parse(text)
			if err != nil {
				panic(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

func usage(u ...x509.ExtKeyUsage) change { return func(c *x509.Certificate) { c.ExtKeyUsage = u } }

func valid(from, until time.Duration) change {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until) }
}

func TestWhoIsRefused(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t, "Clients")
	s := open(t, ca.PEM())
	twin := certtest.NewAuthority(t, "Clients")
	ended := ca.Below(t, "Ended", valid(-time.Hour, -time.Minute))
	noCA := ca.Below(t, "no authority", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	deep := ca
	for range 10 {
		deep = deep.Below(t, "one more")
	}
	lonely := ca.Below(t, "Teams").Client(t, "alice")
	lonely.Certificate = lonely.Certificate[:1]
	self := certtest.NewAuthority(t, "alice", func(c *x509.Certificate) { c.IsCA = false })
	for name, tt := range map[string]struct {
		pair *tls.Certificate
		why  string
	}{
		"another authority":                {certtest.NewAuthority(t, "Others").Client(t, "alice"), "no authority in"},
		"another authority, the same name": {twin.Client(t, "alice"), "no authority in"},
		"signed by oneself":                {&tls.Certificate{Certificate: [][]byte{self.Cert.Raw}}, "no authority in"},
		"expired":                          {ca.Client(t, "alice", valid(-time.Hour, -time.Minute)), "renew it"},
		"not valid yet":                    {ca.Client(t, "alice", valid(time.Hour, 2*time.Hour)), "mend the clock"},
		"of a server":                      {ca.Client(t, "alice", usage(x509.ExtKeyUsageServerAuth)), "clientAuth"},
		"for mail":                         {ca.Client(t, "alice", usage(x509.ExtKeyUsageEmailProtection)), "clientAuth"},
		"the one between is not sent":      {lonely, "does not send the certificates between"},
		"the one between has ended":        {ended.Client(t, "alice"), "refused"},
		"signed by one that is none":       {noCA.Client(t, "alice"), "refused"},
		"the authority itself":             {&tls.Certificate{Certificate: [][]byte{ca.Cert.Raw}}, "that of an authority"},
		"too long a chain":                 {deep.Client(t, "alice"), "at most 9"},
		"an unknown critical extension": {ca.Client(t, "alice", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), "unhandled critical extension"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, s, tt.pair, tt.why)
		})
	}
	wantUser(t, s, ca.Client(t, "alice", usage()), "alice") // nothing is said about its use
	wantUser(t, s, ca.Client(t, "alice", usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)), "alice")
}

func TestNames(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t, "Clients")
	dns := func(names ...string) change { return func(c *x509.Certificate) { c.DNSNames = names } }
	email := func(names ...string) change { return func(c *x509.Certificate) { c.EmailAddresses = names } }
	spiffe := func(c *Config) { c.User, c.TrustDomain = bySPIFFE, "example.org" }
	by := func(kind string, domains ...string) func(*Config) {
		return func(c *Config) { c.User, c.Domains = kind, domains }
	}
	const long = "spiffe://example.org/"
	for name, tt := range map[string]struct {
		how  func(*Config)
		cert change
		user string // "": refused
		why  string
	}{
		"a common name":                {by(byCN), subject("CN", "alice"), "alice", ""},
		"a name with a space":          {by(byCN), subject("CN", "Älice Smith"), "Älice Smith", ""},
		"none":                         {by(byCN), subject("O", "alice"), "", "no common name"},
		"an empty one":                 {by(byCN), subject("CN", ""), "", "empty"},
		"two":                          {by(byCN), subject("CN", "alice", "CN", "admin"), "", "2 values for common name"},
		"one and an empty one":         {by(byCN), subject("CN", "alice", "CN", ""), "", "empty"},
		"a zero byte":                  {by(byCN), subject("CN", "admin\x00.example.com"), "", "cannot be seen"},
		"a line":                       {by(byCN), subject("CN", "alice\nadmin"), "", "cannot be seen"},
		"spaces around":                {by(byCN), subject("CN", "admin "), "", "space"},
		"no width":                     {by(byCN), subject("CN", "ad\u200bmin"), "", "cannot be seen"},
		"right to left":                {by(byCN), subject("CN", "\u202enimda"), "", "cannot be seen"},
		"a replacement":                {by(byCN), subject("CN", "a\ufffd"), "", "cannot be seen"},
		"a long one":                   {by(byCN), subject("CN", strings.Repeat("a", 513)), "", "512"},
		"a host does not count":        {by(byCN), func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.DNSNames = []string{"a.example.com"} }, "", "no common name"},
		"a host":                       {by(byDNS), dns("Build-1.Example.com"), "build-1.example.com", ""},
		"no host":                      {by(byDNS), subject("CN", "a.example.com"), "", "no DNS name"},
		"two hosts":                    {by(byDNS), dns("a.example.com", "b.example.com"), "", "2 values"},
		"all hosts":                    {by(byDNS), dns("*.example.com"), "", "one host"},
		"a host with a zero byte":      {by(byDNS), dns("a\x00.example.com"), "", "one host"},
		"a host of the domain":         {by(byDNS, "example.com"), dns("a.example.com"), "a.example.com", ""},
		"the domain itself":            {by(byDNS, "example.org", "example.com"), dns("EXAMPLE.com"), "example.com", ""},
		"a host that looks like it":    {by(byDNS, "example.com"), dns("a.badexample.com"), "", "outside of domains"},
		"an address":                   {by(byEmail), email("Alice@Example.COM"), "Alice@example.com", ""},
		"no address":                   {by(byEmail), dns("a.example.com"), "", "no e-mail address"},
		"two addresses":                {by(byEmail), email("a@example.com", "b@example.com"), "", "2 values"},
		"an address of the domain":     {by(byEmail, "example.com"), email("a@example.com"), "a@example.com", ""},
		"an address outside":           {by(byEmail, "example.com"), email("a@example.com.evil.org"), "", "outside of domains"},
		"an address with two @":        {by(byEmail, "example.com"), email("a@evil.org@example.com"), "", "mailbox@domain"},
		"an address with a line":       {by(byEmail), email("a\n@example.com"), "", "mailbox@domain"},
		"an address without a mailbox": {by(byEmail), email("@example.com"), "", "mailbox@domain"},
		"a workload":                   {spiffe, uris("spiffe://example.org/ns/ci/sa/build"), "spiffe://example.org/ns/ci/sa/build", ""},
		"two workloads":                {spiffe, uris("spiffe://example.org/a", "spiffe://example.org/b"), "", "2 URIs"},
		"a workload and a page":        {spiffe, uris("spiffe://example.org/a", "https://example.org/"), "", "2 URIs"},
		"no workload":                  {spiffe, dns("a"), "", "0 URIs"},
		"a page":                       {spiffe, uris("https://example.org/a"), "", "no SPIFFE ID"},
		"another trust domain":         {spiffe, uris("spiffe://example.com/a"), "", `"example.com"`},
		"a trust domain below":         {spiffe, uris("spiffe://a.example.org/a"), "", "a.example.org"},
		"a trust domain alone":         {spiffe, uris("spiffe://example.org"), "", "no SPIFFE ID"},
		"a trust domain and a slash":   {spiffe, uris("spiffe://example.org/"), "", "no SPIFFE ID"},
		"a port":                       {spiffe, uris("spiffe://example.org:80/a"), "", "no SPIFFE ID"},
		"somebody at it":               {spiffe, uris("spiffe://a@example.org/a"), "", "no SPIFFE ID"},
		"a query":                      {spiffe, uris("spiffe://example.org/a?b"), "", "no SPIFFE ID"},
		"a fragment":                   {spiffe, uris("spiffe://example.org/a#b"), "", "no SPIFFE ID"},
		"an empty segment":             {spiffe, uris("spiffe://example.org/a//b"), "", "no SPIFFE ID"},
		"a way up":                     {spiffe, uris("spiffe://example.org/a/../b"), "", "no SPIFFE ID"},
		"an encoded letter":            {spiffe, uris("spiffe://example.org/%61"), "", "no SPIFFE ID"},
		"a long workload":              {spiffe, uris(long + strings.Repeat("a", 512-len(long))), long + strings.Repeat("a", 512-len(long)), ""},
		"too long a workload":          {spiffe, uris(long + strings.Repeat("a", 513-len(long))), "", "no SPIFFE ID"},
		"a workload that signs": {spiffe, func(c *x509.Certificate) {
			uris("spiffe://example.org/a")(c)
			c.KeyUsage |= x509.KeyUsageCRLSign
		}, "", "no X.509-SVID"},
		"a workload that does not say what for": {spiffe, func(c *x509.Certificate) {
			uris("spiffe://example.org/a")(c)
			c.KeyUsage = 0
		}, "", "no X.509-SVID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, ca.PEM(), tt.how)
			pair := ca.Client(t, "nobody", tt.cert)
			if tt.user != "" {
				wantUser(t, s, pair, tt.user)
				return
			}
			wantRefused(t, s, pair, tt.why)
		})
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t, "Clients")
	pair := ca.Client(t, "", subject("CN", "alice", "OU", "developers", "O", "Example", "OU", "release"))
	for kind, want := range map[string]string{"": "", byOU: "developers|release", byO: "Example"} {
		who := wantUser(t, open(t, ca.PEM(), func(c *Config) { c.Groups = kind }), pair, "alice")
		if got := strings.Join(who.Groups, "|"); got != want {
			t.Errorf("groups: %q: %q, want %q", kind, got, want)
		}
	}
	s := open(t, ca.PEM(), func(c *Config) { c.Groups = byOU })
	wantRefused(t, s, ca.Client(t, "", subject("CN", "alice", "OU", "a\x00")), "a group (ou)")
	wantRefused(t, s, ca.Client(t, "", subject("CN", "alice", "OU", "")), "empty")
	var many []string
	for range 101 {
		many = append(many, "OU", "x")
	}
	wantRefused(t, s, ca.Client(t, "", subject(append(many, "CN", "alice")...)), "at most 100")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string // key
	}{
		"all is well":                  {func(*Config) {}, ""},
		"no authority":                 {func(c *Config) { c.CA = "" }, "ca"},
		"named by nothing":             {func(c *Config) { c.User = "" }, "user"},
		"named by something else":      {func(c *Config) { c.User = "CN" }, "user"},
		"no trust domain":              {func(c *Config) { c.User = bySPIFFE }, "trust_domain"},
		"a trust domain with a scheme": {func(c *Config) { c.User, c.TrustDomain = bySPIFFE, "spiffe://example.org" }, "trust_domain"},
		"a trust domain for nothing":   {func(c *Config) { c.TrustDomain = "example.org" }, "trust_domain"},
		"domains for nothing":          {func(c *Config) { c.Domains = []string{"example.org"} }, "domains"},
		"a pattern":                    {func(c *Config) { c.User, c.Domains = byDNS, []string{"*.example.org"} }, "domains[0]"},
		"upper case":                   {func(c *Config) { c.User, c.Domains = byEmail, []string{"a.b", "Example.org"} }, "domains[1]"},
		"unknown groups":               {func(c *Config) { c.Groups = "cn" }, "groups"},
	} {
		c := Default()
		c.CA = "ca.pem"
		tt.change(&c)
		var keys []string
		c.Check(func(key, _ string) { keys = append(keys, key) })
		if got := strings.Join(keys, " "); got != tt.want {
			t.Errorf("%s: mistakes in %q, want %q", name, got, tt.want)
		}
	}
}
