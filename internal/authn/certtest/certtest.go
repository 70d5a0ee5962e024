// Package certtest makes authorities, certificates of clients and revocation lists
// for tests, the odd ones too.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	Cert *x509.Certificate

	key   *ecdsa.PrivateKey
	above []*x509.Certificate // those between it and the root, itself included
}

// NewAuthority makes one that signs itself.
func NewAuthority(t testing.TB, name string, change ...func(*x509.Certificate)) *Authority {
	t.Helper()
	return newAuthority(t, nil, name, change)
}

// Below makes an authority for which this one vouches.
func (a *Authority) Below(t testing.TB, name string, change ...func(*x509.Certificate)) *Authority {
	t.Helper()
	return newAuthority(t, a, name, change)
}

func newAuthority(t testing.TB, parent *Authority, name string, change []func(*x509.Certificate)) *Authority {
	t.Helper()
	template := newTemplate(t, pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	for _, c := range change {
		c(template)
	}
	a := &Authority{key: newKey(t)}
	if parent == nil {
		a.Cert = sign(t, template, template, a.key, a.key)
		return a
	}
	a.Cert = sign(t, template, parent.Cert, a.key, parent.key)
	a.above = append([]*x509.Certificate{a.Cert}, parent.above...)
	return a
}

// PEM returns the certificate of the authority.
func (a *Authority) PEM() string { return text("CERTIFICATE", a.Cert.Raw) }

// Client makes a certificate of a client with a common name, changed as wanted, and
// those between it and the root behind it.
func (a *Authority) Client(t testing.TB, name string, change ...func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	template := newTemplate(t, pkix.Name{CommonName: name})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, c := range change {
		c(template)
	}
	key := newKey(t)
	leaf := sign(t, template, a.Cert, key, a.key)
	pair := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, cert := range a.above {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return pair
}

// List makes a revocation list of these certificates that is good from now until an
// hour later, changed as wanted.
func (a *Authority) List(t testing.TB, now time.Time, revoked []*tls.Certificate, change ...func(*x509.RevocationList)) string {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(now.UnixNano()), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
	for _, cert := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.Leaf.SerialNumber, RevocationTime: now})
	}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.Cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return text("X509 CRL", der)
}

// Shown returns the certificates of a client as a server sees them.
func Shown(t testing.TB, pair *tls.Certificate) []*x509.Certificate {
	t.Helper()
	var shown []*x509.Certificate
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, cert)
	}
	return shown
}

// WritePair puts a certificate with those behind it and its key into files.
func WritePair(t testing.TB, pair *tls.Certificate, certFile, keyFile string) {
	t.Helper()
	var certs string
	for _, der := range pair.Certificate {
		certs += text("CERTIFICATE", der)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, certFile, certs)
	Write(t, keyFile, text("PRIVATE KEY", der))
}

// Write puts text into a file, in one step, and returns its name.
func Write(t testing.TB, file, text string) string {
	t.Helper()
	next := filepath.Join(t.TempDir(), "next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func newTemplate(t testing.TB, subject pkix.Name) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
