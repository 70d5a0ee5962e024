package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/certs"
)

const day = 24 * time.Hour

func hosts(t *testing.T, names ...string) certs.Hosts {
	t.Helper()
	h, err := certs.ParseHosts(names)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func create(t *testing.T, dir string, force bool, names ...string) certs.Result {
	t.Helper()
	res, err := certs.Create(dir, certs.Request{Hosts: hosts(t, names...), Now: time.Now()}, force)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// pool is what a client trusts that was given file.
func pool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(read(t, file)) {
		t.Fatalf("%s has no certificate", file)
	}
	return p
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseHosts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	tests := map[string]struct {
		in   []string
		want []string
		err  string
	}{
		"a name":            {[]string{"myregistrydomain.com"}, []string{"myregistrydomain.com"}, ""},
		"one part":          {[]string{"localhost"}, []string{"localhost"}, ""},
		"upper case, dot":   {[]string{" Registry.LAN. "}, []string{"registry.lan"}, ""},
		"a wildcard":        {[]string{"*.example.com"}, []string{"*.example.com"}, ""},
		"punycode":          {[]string{"xn--bcher-kva.example"}, []string{"xn--bcher-kva.example"}, ""},
		"addresses":         {[]string{"10.0.0.1", "::1", "[2001:db8::1]", "::ffff:10.0.0.2"}, []string{"10.0.0.1", "::1", "2001:db8::1", "10.0.0.2"}, ""},
		"repetitions":       {[]string{"a.b", "A.B", "::1", "0:0:0:0:0:0:0:1", "a.b."}, []string{"a.b", "::1"}, ""},
		"the longest":       {[]string{strings.Join([]string{long, long, long, long[:61]}, ".")}, []string{strings.Join([]string{long, long, long, long[:61]}, ".")}, ""},
		"none":              {nil, nil, "no host names"},
		"empty":             {[]string{""}, nil, "the name is empty"},
		"a port":            {[]string{"a.b:5000"}, nil, "without a port"},
		"an address, port":  {[]string{"[::1]:5000"}, nil, "without a port"},
		"a URL":             {[]string{"https://a.b"}, nil, "without https://"},
		"not ASCII":         {[]string{"bücher.example"}, nil, "ASCII form"},
		"space":             {[]string{"a b"}, nil, "is not part of a host name"},
		"wildcard inside":   {[]string{"a.*.b"}, nil, "only the whole first part"},
		"half a wildcard":   {[]string{"a*.b"}, nil, "only the whole first part"},
		"only a wildcard":   {[]string{"*"}, nil, "only the whole first part"},
		"two dots":          {[]string{"a..b"}, nil, "is not part of a host name"},
		"dash at the end":   {[]string{"a-.b"}, nil, "is not part of a host name"},
		"a part too long":   {[]string{long + "a.b"}, nil, "is not part of a host name"},
		"too long":          {[]string{strings.Repeat(long+".", 4) + "b"}, nil, "longer than 253 bytes"},
		"a broken address":  {[]string{"10.0.0.256"}, nil, "neither a host name nor an IP address"},
		"a zone":            {[]string{"fe80::1%eth0"}, nil, "has no zone"},
		"a line end inside": {[]string{"a.b\nc"}, nil, "is not part of a host name"},
		"too many":          {strings.Split(strings.Repeat("x", 101), ""), []string{"x"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := certs.ParseHosts(tt.in)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v; want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, h.Strings()); err == nil && diff != "" {
				t.Errorf("hosts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCreateMakesWhatClientsVerify(t *testing.T) {
	t.Parallel()
	res := create(t, filepath.Join(t.TempDir(), "new", "dir"), false, "registry.example.com", "*.wild.example.com", "10.1.2.3", "::1")
	pair, err := certs.LoadPair(res.Cert, res.Key)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{
		"registry.example.com": true,
		"a.wild.example.com":   true,
		"10.1.2.3":             true,
		"::1":                  true,
		"wild.example.com":     false,
		"a.b.wild.example.com": false,
		"other.example.com":    false,
		"10.1.2.4":             false,
	}
	for name, want := range tests {
		err := handshake(t, pair, &tls.Config{RootCAs: pool(t, res.CACert), ServerName: name})
		if (err == nil) != want {
			t.Errorf("%s: error %v; want ok: %v", name, err, want)
		}
	}
	if err := handshake(t, pair, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "registry.example.com"}); err == nil {
		t.Error("a client that does not trust the authority was content")
	}
}

func TestCreateMakesAModestCertificate(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := t.TempDir()
	res, err := certs.Create(dir, certs.Request{Hosts: hosts(t, "r.example"), Days: 90, Now: now}, false)
	if err != nil {
		t.Fatal(err)
	}
	leaf := res.Leaf
	if !leaf.NotAfter.Equal(now.Add(90*day)) || leaf.NotBefore.After(now.Add(-time.Minute)) {
		t.Errorf("valid %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	mayOnlyServe(t, leaf)
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("key %T", leaf.PublicKey)
	}
	ca := res.Authority
	if !ca.IsCA || !ca.MaxPathLenZero || ca.NotAfter.Year() != 2040 || !strings.HasPrefix(ca.Subject.CommonName, "Moorgate CA ") {
		t.Errorf("authority: CA %v, until %v, %q", ca.IsCA, ca.NotAfter, ca.Subject.CommonName)
	}
	if ca.SerialNumber.Cmp(leaf.SerialNumber) == 0 || leaf.SerialNumber.Sign() <= 0 {
		t.Errorf("serial numbers %v and %v", ca.SerialNumber, leaf.SerialNumber)
	}
}

func mayOnlyServe(t *testing.T, leaf *x509.Certificate) {
	t.Helper()
	if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature || !cmp.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("the certificate may do more than serve: CA %v, usage %b %v", leaf.IsCA, leaf.KeyUsage, leaf.ExtKeyUsage)
	}
}

func TestCreateHidesKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	create(t, dir, false, "a.example")
	for file, mode := range map[string]fs.FileMode{"ca.crt": 0o644, "ca.key": 0o600, "domain.crt": 0o644, "domain.key": 0o600} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: mode %v, %v; want %v", file, info.Mode(), err, mode)
		}
	}
}

func TestCreateKeepsAuthorityAndCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := create(t, dir, false, "a.example")
	if !first.NewAuthority || !first.NewLeaf {
		t.Errorf("first: %+v", first)
	}
	request := certs.Request{Hosts: hosts(t, "b.example"), Now: time.Now()}
	before := read(t, first.Cert)
	if _, err := certs.Create(dir, request, false); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("without force: error %v", err)
	}
	if string(read(t, first.Cert)) != string(before) {
		t.Error("the certificate was replaced without force")
	}
	trusted := pool(t, first.CACert)
	second := create(t, dir, true, "b.example")
	if second.NewAuthority {
		t.Error("a new authority was made")
	}
	pair, err := certs.LoadPair(second.Cert, second.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, pair, &tls.Config{RootCAs: trusted, ServerName: "b.example"}); err != nil {
		t.Errorf("who trusted the first certificate: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := hosts(t, "a.example")
	tests := map[string]struct {
		damage  func(dir string) error
		request certs.Request
		want    string
	}{
		"too many days":      {nil, certs.Request{Hosts: h, Days: 826, Now: now}, "from 1 to 825 days"},
		"no days":            {nil, certs.Request{Hosts: h, Days: -1, Now: now}, "from 1 to 825 days"},
		"an old authority":   {nil, certs.Request{Hosts: h, Now: now.AddDate(11, 0, 0)}, "expired on"},
		"no authority key":   {func(dir string) error { return os.Remove(filepath.Join(dir, "ca.key")) }, certs.Request{Hosts: h, Now: now}, "ca.key is missing"},
		"no authority":       {func(dir string) error { return os.Remove(filepath.Join(dir, "ca.crt")) }, certs.Request{Hosts: h, Now: now}, "ca.crt is missing"},
		"a broken authority": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.crt"), nil, 0o600) }, certs.Request{Hosts: h, Now: now}, "authority"},
		"not an authority": {func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "domain.crt"), filepath.Join(dir, "ca.crt")), os.Rename(filepath.Join(dir, "domain.key"), filepath.Join(dir, "ca.key")))
		}, certs.Request{Hosts: h, Now: now}, "not the certificate of an authority"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			create(t, dir, false, "a.example")
			if tt.damage != nil {
				if err := tt.damage(dir); err != nil {
					t.Fatal(err)
				}
			}
			_, err := certs.Create(dir, tt.request, true)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v; want one line with %q", err, tt.want)
			}
		})
	}
	empty := t.TempDir()
	if _, err := certs.Create(empty, certs.Request{Hosts: h, Days: 1000, Now: now}, false); err == nil {
		t.Error("no error")
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
		t.Errorf("a refused request left %v, %v", left, err)
	}
}

func TestCertificateEndsWithItsAuthority(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	create(t, dir, false, "a.example")
	res, err := certs.Create(dir, certs.Request{Hosts: hosts(t, "a.example"), Now: now.AddDate(9, 6, 0)}, true)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Leaf.NotAfter.Equal(res.Authority.NotAfter) {
		t.Errorf("certificate until %v, authority until %v", res.Leaf.NotAfter, res.Authority.NotAfter)
	}
}

func TestSelfSignedKeepsAndRenews(t *testing.T) {
	t.Parallel()
	dir, now := filepath.Join(t.TempDir(), "tls"), time.Now()
	names := []string{"localhost", "127.0.0.1"}
	steps := []struct {
		what              string
		names             []string
		after             time.Duration
		damage            string // this file is emptied first
		newAuthority, new bool
	}{
		{"the first time", names, 0, "", true, true},
		{"again", names, time.Minute, "", false, false},
		{"the same names in another order", []string{"127.0.0.1", "LOCALHOST"}, time.Hour, "", false, false},
		{"a year later", names, 366 * day, "", false, false},
		{"near its end", names, 368 * day, "", false, true},
		{"another name", append(names, "r.lan"), 368 * day, "", false, true},
		{"a name less", names, 368 * day, "", false, true},
		{"a damaged certificate", names, 368 * day, "domain.crt", false, true},
		{"a damaged key", names, 368 * day, "domain.key", false, true},
		{"near the end of the authority", names, 3640 * day, "", true, true},
		{"again, then", names, 3641 * day, "", false, false},
	}
	for _, s := range steps {
		if s.damage != "" {
			if err := os.WriteFile(filepath.Join(dir, s.damage), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		at := now.Add(s.after)
		res, err := certs.SelfSigned(dir, hosts(t, s.names...), at)
		if err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		if res.NewAuthority != s.newAuthority || res.NewLeaf != s.new {
			t.Errorf("%s: new authority %v, new certificate %v", s.what, res.NewAuthority, res.NewLeaf)
		}
		pair, err := certs.LoadPair(res.Cert, res.Key)
		if err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		clock := func() time.Time { return at }
		for _, name := range s.names {
			if err := handshake(t, pair, &tls.Config{RootCAs: pool(t, res.CACert), ServerName: strings.ToLower(name), Time: clock}); err != nil {
				t.Errorf("%s: %s: %v", s.what, name, err)
			}
		}
		if left := res.Leaf.NotAfter.Sub(at); left < 30*day {
			t.Errorf("%s: the certificate ends in %v", s.what, left)
		}
	}
}

// handshake connects a client of config to a server with pair.
func handshake(t *testing.T, pair *certs.Pair, config *tls.Config) error {
	t.Helper()
	clientEnd, serverEnd := net.Pipe()
	server := tls.Server(serverEnd, certs.ServerConfig(pair))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.HandshakeContext(t.Context()) // the client knows better why not
		_ = serverEnd.Close()                    // ends its wait
	}()
	client := tls.Client(clientEnd, config)
	err := client.HandshakeContext(t.Context())
	_ = clientEnd.Close() // of a pipe; cannot fail
	<-served
	return err
}

func FuzzParseHosts(f *testing.F) {
	for _, name := range []string{"localhost", "*.example.com", "127.0.0.1", "::1", "a b", "-a", "*", "a..b", "host:5000"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		hosts, err := certs.ParseHosts([]string{name})
		if err != nil {
			return
		}
		again, err := certs.ParseHosts(hosts.Strings())
		if err != nil || len(again.Strings()) != 1 || again.Strings()[0] != hosts.Strings()[0] {
			t.Errorf("%q is read as %v, and that as %v, %v", name, hosts, again, err)
		}
	})
}
