package clientcert

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// lists are revocation lists (RFC 5280, section 5).
type lists struct {
	file string
	all  []*list
}

// list is the one of an authority.
type list struct {
	*x509.RevocationList
	revoked map[string]bool // serial numbers
}

// errRevoked says that an authority has taken a certificate back.
var errRevoked = errors.New("it has been revoked")

// readLists reads a file of lists in PEM, or of one list in DER.
func readLists(name string, authorities []*x509.Certificate) (*lists, error) {
	text, err := readFile(name, maxCRLFile)
	if err != nil {
		return nil, err
	}
	ls := &lists{file: name}
	add := func(der []byte) error {
		l, err := parseList(der, authorities)
		if err != nil {
			return fmt.Errorf("list %d: %w", len(ls.all)+1, err)
		}
		ls.all = append(ls.all, l)
		return nil
	}
	if bytes.Contains(text, []byte("-----BEGIN")) {
		err = eachBlock(text, "X509 CRL", add)
	} else {
		err = add(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return ls, nil
}

// parseList reads a list that says all about the certificates of its authority. One
// with a critical extension says less, or something else (section 5.2).
func parseList(der []byte, authorities []*x509.Certificate) (*list, error) {
	parsed, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("it is no revocation list, in PEM (-----BEGIN X509 CRL-----) or DER: %w", err)
	}
	l := &list{RevocationList: parsed, revoked: make(map[string]bool, len(parsed.RevokedCertificateEntries))}
	critical := hasCritical(parsed.Extensions)
	for _, entry := range parsed.RevokedCertificateEntries {
		critical = critical || hasCritical(entry.Extensions)
		l.revoked[serialKey(entry.SerialNumber)] = true
	}
	parsed.RevokedCertificateEntries = nil
	switch {
	case critical:
		return nil, fmt.Errorf("the list of %q is a partial, delta or indirect one: use the complete list of the authority", l.Issuer)
	case l.NextUpdate.IsZero():
		return nil, fmt.Errorf("the list of %q does not say when the next comes, so nobody could tell whether it is out of date", l.Issuer)
	case !l.signedByOneOf(authorities):
		return nil, fmt.Errorf("the list of %q has a signature that is not of that authority", l.Issuer)
	}
	return l, nil
}

func hasCritical(extensions []pkix.Extension) bool {
	for _, e := range extensions {
		if e.Critical {
			return true
		}
	}
	return false
}

// signedByOneOf reports whether one of the authorities has signed the list. That of
// an authority that is not among them cannot be verified yet.
func (l *list) signedByOneOf(authorities []*x509.Certificate) bool {
	known := false
	for _, cert := range authorities {
		if !bytes.Equal(l.RawIssuer, cert.RawSubject) {
			continue
		}
		known = true
		if l.CheckSignatureFrom(cert) == nil {
			return true
		}
	}
	return !known
}

func serialKey(serial *big.Int) string { return string(serial.Bytes()) }

// check finds out whether a certificate of a chain has been revoked, but for the
// last one, which is trusted; and until when that can be said. All those who have
// signed one need a list. Without lists the time is zero.
//
// Errors: errRevoked; any other if that cannot be told.
func (ls *lists) check(chain []*x509.Certificate, now time.Time) (until time.Time, err error) {
	if ls == nil {
		return time.Time{}, nil
	}
	for i, cert := range chain[:len(chain)-1] {
		l, err := ls.of(chain[i+1], now)
		if err != nil {
			return time.Time{}, err
		}
		if l.revoked[serialKey(cert.SerialNumber)] {
			return time.Time{}, fmt.Errorf("%w by %s", errRevoked, subjectOf(chain[i+1]))
		}
		if until.IsZero() || l.NextUpdate.Before(until) {
			until = l.NextUpdate
		}
	}
	return until, nil
}

// of returns the latest list of an authority, if it is good now.
func (ls *lists) of(authority *x509.Certificate, now time.Time) (*list, error) {
	var latest *list
	for _, l := range ls.all {
		if !bytes.Equal(l.RawIssuer, authority.RawSubject) || l.CheckSignatureFrom(authority) != nil {
			continue
		}
		if latest == nil || l.ThisUpdate.After(latest.ThisUpdate) {
			latest = l
		}
	}
	switch {
	case latest == nil:
		return nil, fmt.Errorf("there is no revocation list of %s in %s: nobody whom it vouches for is let in before there is one", subjectOf(authority), ls.file)
	case !now.Before(latest.NextUpdate):
		return nil, fmt.Errorf("the revocation list of %s in %s is out of date since %s: nobody whom it vouches for is let in before there is a new one", subjectOf(authority), ls.file, latest.NextUpdate.Format(time.RFC3339))
	case now.Before(latest.ThisUpdate):
		return nil, fmt.Errorf("the revocation list of %s in %s begins on %s: mend the clock of this machine", subjectOf(authority), ls.file, latest.ThisUpdate.Format(time.RFC3339))
	}
	return latest, nil
}
