package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	day = 24 * time.Hour

	// DefaultDays is how long certificates are valid: browsers refuse more
	// than 398 days.
	DefaultDays = 397

	// MaxDays is how long a certificate may be valid at most: Apple's clients
	// refuse more even from an authority of one's own.
	MaxDays = 825

	authorityYears = 10

	// clockSkew is how far the clock of a client may be behind.
	clockSkew = time.Hour
)

// Authority is a certificate authority: clients that trust its certificate
// trust what it issues.
type Authority struct {
	Cert *x509.Certificate
	PEM  []byte // of the certificate

	key crypto.Signer
}

// Request says what certificate is wanted.
type Request struct {
	Hosts Hosts
	Days  int       // it is valid; 0 is DefaultDays
	Now   time.Time // its beginning

	client *ClientRequest // whom it is for; nil: a server
}

// Issued is a new certificate.
type Issued struct {
	Leaf    *x509.Certificate
	CertPEM []byte // the certificate, then that of its authority
	KeyPEM  []byte // PKCS #8
}

// NewAuthority makes an authority that is valid for ten years from now.
func NewAuthority(now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// The number tells apart the authorities that one client trusts.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("Moorgate CA %x", serial.Bytes()[:4]), Organization: []string{"Moorgate"}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{Cert: cert, PEM: encode("CERTIFICATE", der), key: key}, nil
}

// ParseAuthority reads an authority from the PEM text of its certificate and
// of its key.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA || !pair.Leaf.BasicConstraintsValid {
		return nil, errors.New("not the certificate of an authority")
	}
	return &Authority{Cert: pair.Leaf, PEM: encode("CERTIFICATE", pair.Certificate[0]), key: key}, nil
}

// KeyPEM returns the key of the authority as PKCS #8.
func (a *Authority) KeyPEM() ([]byte, error) { return encodeKey(a.key) }

// Issue makes a certificate and a key. The certificate ends no later than the
// authority does.
func (a *Authority) Issue(r Request) (*Issued, error) {
	days := r.Days
	if days == 0 {
		days = DefaultDays
	}
	if days < 1 || days > MaxDays {
		return nil, fmt.Errorf("a certificate must be valid from 1 to %d days, not %d", MaxDays, days)
	}
	if !r.Now.Before(a.Cert.NotAfter) {
		return nil, fmt.Errorf("the certificate authority expired on %s", a.Cert.NotAfter.Format(time.DateOnly))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	template, err := leafTemplate(r.Hosts, r.Now, days)
	if err != nil {
		return nil, err
	}
	if r.client != nil {
		r.client.name(template)
	}
	if template.NotAfter.After(a.Cert.NotAfter) {
		template.NotAfter = a.Cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Issued{Leaf: leaf, CertPEM: append(encode("CERTIFICATE", der), a.PEM...), KeyPEM: keyPEM}, nil
}

func leafTemplate(h Hosts, now time.Time, days int) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(time.Duration(days) * day),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              h.DNS,
		IPAddresses:           h.IPs,
	}
	if names := h.Strings(); len(names) > 0 && len(names[0]) <= 64 { // RFC 5280, ub-common-name
		t.Subject.CommonName = names[0]
	}
	return t, nil
}

// newSerial returns a random number of 127 bits (RFC 5280, section 4.1.2.2),
// large enough to be printed in part.
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	return n.SetBit(n, 126, 1), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode("PRIVATE KEY", der), nil
}
