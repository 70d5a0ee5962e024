package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
)

func cert(t *testing.T, args ...string) typed {
	t.Helper()
	return execute(t, newCertCommand(), strings.NewReader(""), args...)
}

func TestCertCreateMakesAndTellsHowToTrust(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	got := cert(t, "create", "--host", "myregistrydomain.com,*.lan", "--host", "192.168.1.20", "--out", dir)
	if got.err != nil || got.errOut != "" {
		t.Fatalf("error %v, said %q", got.err, got.errOut)
	}
	for _, want := range []string{
		"certificate for myregistrydomain.com, *.lan, 192.168.1.20, valid until " + time.Now().AddDate(0, 0, certs.DefaultDays).Format("2006-01"),
		"moorgate serve --listen :5043 --tls-cert " + dir + "/domain.crt --tls-key " + dir + "/domain.key --htpasswd registry.password",
		"/etc/docker/certs.d/myregistrydomain.com:5043/ca.crt",
		"/etc/containers/certs.d/myregistrydomain.com:5043/ca.crt",
		"/usr/local/share/ca-certificates/moorgate-myregistrydomain.com.crt",
		"update-ca-certificates",
		"/etc/pki/ca-trust/source/anchors/moorgate-myregistrydomain.com.crt",
		"update-ca-trust",
		", new, valid until",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in:\n%s", want, got.out)
		}
	}
	pair, err := certs.LoadPair(filepath.Join(dir, "domain.crt"), filepath.Join(dir, "domain.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca)
	for _, name := range []string{"myregistrydomain.com", "x.lan", "192.168.1.20"} {
		if _, err := pair.Leaf().Verify(x509.VerifyOptions{Roots: trusted, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertCreateKeepsTheAuthority(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	create := []string{"create", "--host", "a.example", "--out", dir}
	if got := cert(t, create...); got.err != nil {
		t.Fatal(got.err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := cert(t, create...); got.err == nil || !strings.Contains(got.err.Error(), "domain.crt is there already; add --force") {
		t.Errorf("again: error %v", got.err)
	}
	got := cert(t, append(create, "--force", "--days", "30")...)
	if got.err != nil || !strings.Contains(got.out, "used again") || !strings.Contains(got.out, "need nothing more") {
		t.Errorf("with --force: error %v, said %q", got.err, got.out)
	}
	after, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the authority changed (%v)", err)
	}
}

func TestCertCreateRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	tests := map[string]struct {
		args []string
		want string
	}{
		"no host":       {[]string{"create", "--out", dir}, "which hosts, and where to?"},
		"no directory":  {[]string{"create", "--host", "a.b"}, "which hosts, and where to?"},
		"a port":        {[]string{"create", "--out", dir, "--host", "a.b:5043"}, `host "a.b:5043": give the name alone, without a port`},
		"too long":      {[]string{"create", "--out", dir, "--host", "a.b", "--days", "3650"}, "--days is 3650, but must be from 1 to 825"},
		"zero days":     {[]string{"create", "--out", dir, "--host", "a.b", "--days", "0"}, "--days is 0"},
		"more argument": {[]string{"create", "--out", dir, "--host", "a.b", "c.d"}, "unknown command"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := cert(t, tt.args...); got.err == nil || !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("error %v; want %q", got.err, tt.want)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("a directory was made")
			}
		})
	}
}

func TestClientHost(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a.b": "a.b", "*.b": "registry.b", "10.0.0.1": "10.0.0.1", "::1": "[::1]",
	} {
		hosts, err := certs.ParseHosts([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		if got := clientHost(hosts); got != want {
			t.Errorf("%s is %s; want %s", name, got, want)
		}
	}
}
