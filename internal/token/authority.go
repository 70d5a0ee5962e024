package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"time"

	"github.com/moorgate/moorgate/internal/atomicfile"
)

const (
	authorityYears = 20

	// clockSkew is how far the clock of a registry may be behind.
	clockSkew = time.Hour
)

// documentSigning is id-kp-documentSigning (RFC 9336). With it, whoever is made to
// trust the authority as a whole still takes no server certificate from it.
var documentSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36} //nolint:gochecknoglobals // a constant that Go cannot say

// authority issues the certificates of signing keys: what registries have in
// their "rootcertbundle".
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// newAuthority makes an authority that is valid for 20 years from now.
func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("Moorgate token CA %x", serial.Bytes()[:4]), Organization: []string{"Moorgate"}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it issues no other authorities
		KeyUsage:              x509.KeyUsageCertSign,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{documentSigning},
	}
	cert, err := create(template, template, key.Public(), key)
	return &authority{cert: cert, key: key}, err
}

// issue makes a certificate for a key that signs tokens. It is valid as long as
// the authority: a key ends by rotation.
func (a *authority) issue(public crypto.PublicKey, id string, now time.Time) (*x509.Certificate, error) {
	if !now.Before(a.cert.NotAfter) {
		return nil, fmt.Errorf("the authority expired on %s", a.cert.NotAfter.Format(time.DateOnly))
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	return create(&x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Moorgate token key " + id},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              a.cert.NotAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{documentSigning},
	}, a.cert, public, a.key)
}

// write stores the authority. The certificate comes last: it tells that all is there.
func (a *authority) write(dir string) error {
	key, err := encodeKey(a.key)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, caKeyFile), key, 0o600); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, caCertFile), encode("CERTIFICATE", a.cert.Raw), 0o644)
}

// readCACert reads the certificate of the authority.
func readCACert(dir string) (*x509.Certificate, error) {
	path := filepath.Join(dir, caCertFile)
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	cert, err := firstCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("certificate of the token authority %s: %w; put the right file back", path, err)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("certificate %s is not that of an authority; put the right file back", path)
	}
	return cert, nil
}

// readAuthority reads the authority with its key.
func readAuthority(dir string) (*authority, error) {
	cert, err := readCACert(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, caKeyFile)
	data, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("a new signing key needs the key of the token authority: %w", err)
	}
	key, err := privateKey(data)
	if err != nil {
		return nil, fmt.Errorf("key of the token authority %s: %w; put the right file back", path, err)
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s; put back the files that belong together", path, caCertFile)
	}
	return &authority{cert: cert, key: key}, nil
}

func create(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newSerial returns a random number of 127 bits (RFC 5280, section 4.1.2.2).
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

// firstCertificate returns the first certificate in PEM text.
func firstCertificate(data []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("no certificate in PEM is in it")
}

// privateKey returns the first private key in PEM text.
func privateKey(data []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the key is encrypted; store it without a passphrase (openssl pkey -in OLD -out NEW)")
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
			return nil, errors.New("the key cannot sign")
		}
	}
	return nil, errors.New(`no "PRIVATE KEY" in PEM (PKCS #8) is in it`)
}
