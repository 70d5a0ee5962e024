package clientcert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// trust is what the files say at one time. It does not change.
type trust struct {
	caFile      string
	authorities []*x509.Certificate
	roots       *x509.CertPool
	lists       *lists // nil: nothing is revoked
	memory      memory // of what was verified by it
}

// Bounds of the files.
const (
	maxCAFile      = 1 << 20  // bytes
	maxCRLFile     = 16 << 20 // bytes
	maxAuthorities = 100
)

func readTrust(c Config) (*trust, error) {
	authorities, err := readAuthorities(c.CA)
	if err != nil {
		return nil, fmt.Errorf("the authorities of clients (ca): %w", err)
	}
	t := &trust{caFile: c.CA, authorities: authorities, roots: x509.NewCertPool()}
	for _, cert := range authorities {
		t.roots.AddCert(cert)
	}
	if c.CRL != "" {
		if t.lists, err = readLists(c.CRL, authorities); err != nil {
			return nil, fmt.Errorf("the revocation lists (crl): %w", err)
		}
	}
	return t, nil
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d MiB", name, limit>>20)
	}
	return text, err
}

// readAuthorities reads a PEM file that has nothing but certificates of
// authorities: a mistake in it should not just be less trust.
func readAuthorities(name string) ([]*x509.Certificate, error) {
	text, err := readFile(name, maxCAFile)
	if err != nil {
		return nil, err
	}
	var list []*x509.Certificate
	err = eachBlock(text, "CERTIFICATE", func(der []byte) error {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		if !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
			return fmt.Errorf("certificate %d, of %s, is not that of an authority: name the file of whoever signs the certificates of clients", len(list)+1, subjectOf(cert))
		}
		list = append(list, cert)
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(list) == 0:
		return nil, fmt.Errorf("there is no certificate in %s: it has to be in PEM, as -----BEGIN CERTIFICATE-----", name)
	case len(list) > maxAuthorities:
		return nil, fmt.Errorf("there are %d authorities in %s, at most %d are allowed: name those of your clients, not those of the world", len(list), name, maxAuthorities)
	}
	return list, nil
}

// eachBlock calls do with each PEM block of text, which may only have those of one
// kind.
func eachBlock(text []byte, kind string, do func(der []byte) error) error {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			if bytes.Contains(text, []byte("-----BEGIN")) {
				return errors.New("there is a PEM block in it that is cut off or damaged")
			}
			return nil
		}
		if block.Type != kind {
			return fmt.Errorf("there is a %q in it, and only a %q belongs there", block.Type, kind)
		}
		if err := do(block.Bytes); err != nil {
			return err
		}
		text = rest
	}
}

// verify finds out whether an authority vouches for the first of the certificates
// as one of a client, and until when that is so. The others may stand between.
//
// Errors: authn.ErrNoMatch with the reason; any other if the revocation lists
// cannot tell.
func (t *trust) verify(shown []*x509.Certificate, now time.Time) (until time.Time, err error) {
	between := x509.NewCertPool()
	for _, cert := range shown[1:] {
		between.AddCert(cert)
	}
	chains, err := shown[0].Verify(x509.VerifyOptions{
		Roots: t.roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return time.Time{}, refused(shown[0], t.explain(err))
	}
	var first error
	for _, chain := range chains {
		until, err := t.lists.check(chain, now)
		if err == nil {
			return earliest(chain, until), nil
		}
		if first == nil {
			first = err
		}
	}
	if errors.Is(first, errRevoked) {
		return time.Time{}, refused(shown[0], first)
	}
	return time.Time{}, first
}

// earliest returns when the first of a chain ends, or until, if that is before.
func earliest(chain []*x509.Certificate, until time.Time) time.Time {
	for _, cert := range chain {
		if until.IsZero() || cert.NotAfter.Before(until) {
			until = cert.NotAfter
		}
	}
	return until
}

// explain says what a verification has failed for, and what to do.
func (t *trust) explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("no authority in %s has signed it, or the client does not send the certificates between (%w)", t.caFile, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("renew it, or mend the clock of this machine (%w)", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Errorf("it is not one of a client: its extended key usage lacks clientAuth (%w)", err)
	default:
		return err
	}
}
