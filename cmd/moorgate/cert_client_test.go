package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCertClientMakesAndTellsWhereItBelongs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	if got := cert(t, "create", "--host", "localhost", "--out", dir); got.err != nil {
		t.Fatal(got.err)
	}
	got := cert(t, "client", "build-7", "--group", "ci,developers", "--days", "30", "--out", dir)
	if got.err != nil || got.errOut != "" {
		t.Fatalf("error %v, said %q", got.err, got.errOut)
	}
	for _, want := range []string{
		"made in " + dir + ":\n  build-7.cert  certificate of build-7 in ci, developers, valid until ", ", used again, valid until",
		"ca: " + dir + "/ca.crt\n        groups: ou\n", "/etc/docker/certs.d/", "/etc/containers/certs.d/",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in:\n%s", want, got.out)
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "build-7.cert"), filepath.Join(dir, "build-7.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: trusted, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: trusted}); err == nil {
		t.Error("it could be that of a server")
	}
	if s := pair.Leaf.Subject; s.CommonName != "build-7" || strings.Join(s.OrganizationalUnit, " ") != "ci developers" {
		t.Errorf("it is of %s", s)
	}
	if info, err := os.Stat(filepath.Join(dir, "build-7.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
}

func TestCertClientRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := cert(t, "client", "alice", "--out", dir); got.err != nil || !strings.Contains(got.out, ", new, valid until") {
		t.Fatalf("%v\n%s", got.err, got.out)
	}
	before, err := os.ReadFile(filepath.Join(dir, "alice.cert"))
	if err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"whose, and where to?":             {"--out", dir},
		"usage: moorgate cert client":      {"alice"},
		"add --force to replace it":        {"alice", "--out", dir},
		"--days is 0":                      {"bob", "--days", "0", "--out", dir},
		"--days is 826":                    {"bob", "--days", "826", "--out", dir},
		`"../bob" cannot be`:               {"../bob", "--out", dir},
		`".bob" cannot be`:                 {".bob", "--out", dir},
		`"" cannot be the name`:            {"", "--out", dir},
		`"bob\nx" cannot be`:               {"bob\nx", "--out", dir},
		`"ca" cannot be`:                   {"ca", "--out", dir},
		`"domain" cannot be`:               {"domain", "--out", dir},
		`"a b" cannot be the name of a gr`: {"bob", "--group", "a b", "--out", dir},
	} {
		if got := cert(t, append([]string{"client"}, args...)...); got.err == nil || !strings.Contains(got.err.Error(), want) {
			t.Errorf("%q: error %v; want %q", args, got.err, want)
		}
	}
	after, err := os.ReadFile(filepath.Join(dir, "alice.cert"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the certificate of alice has changed, %v", err)
	}
	if got := cert(t, "client", "alice", "--force", "--out", dir); got.err != nil {
		t.Error(got.err)
	}
}
