package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moorgate/moorgate/internal/atomicfile"
)

// renewBefore is how long before its end a certificate is made anew.
const renewBefore = 30 * day

// Files are the paths of a certificate, its authority and their keys.
type Files struct {
	CACert, CAKey string
	Cert, Key     string
}

// FilesIn returns the paths in dir.
func FilesIn(dir string) Files {
	return Files{
		CACert: filepath.Join(dir, "ca.crt"), CAKey: filepath.Join(dir, "ca.key"),
		Cert: filepath.Join(dir, "domain.crt"), Key: filepath.Join(dir, "domain.key"),
	}
}

// Result tells what is in a directory of certificates and what of it is new.
type Result struct {
	Files
	Authority, Leaf       *x509.Certificate
	NewAuthority, NewLeaf bool
}

// Create makes a certificate for r in dir, and dir, and an authority if there
// is none in dir: who trusts one certificate from dir trusts the next. It
// replaces a certificate only if force is set.
//
// Errors: fs.ErrExist.
func Create(dir string, r Request, force bool) (Result, error) {
	return inDir(dir, func(res *Result) error {
		if err := res.vacant(force); err != nil {
			return err
		}
		authority, err := loadLasting(res.Files, r.Now)
		if err != nil {
			return err
		}
		return res.issue(authority, r)
	})
}

// SelfSigned sees to it that dir holds a certificate for hosts that is good
// for another 30 days, from an authority that is kept in dir as well. It
// changes nothing if that is so; call it at the start and then once a day.
func SelfSigned(dir string, hosts Hosts, now time.Time) (Result, error) {
	return inDir(dir, func(res *Result) error {
		authority, err := loadAuthority(res.Files)
		if err != nil {
			return err
		}
		if authority != nil && !lasts(authority.Cert, now) {
			authority = nil // clients must trust a new one in any case
		}
		if authority != nil {
			res.Authority = authority.Cert
			pair, err := readPair(res.Cert, res.Key)
			if err == nil && isFor(pair, authority, hosts) && lasts(pair.Leaf, now) {
				res.Leaf = pair.Leaf
				return nil
			}
		}
		return res.issue(authority, Request{Hosts: hosts, Now: now})
	})
}

// inDir runs do while no other process makes certificates in dir.
func inDir(dir string, do func(*Result) error) (res Result, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return Result{}, err
	}
	res.Files = FilesIn(dir)
	unlock, err := atomicfile.Lock(res.CACert)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	err = do(&res)
	return res, err
}

// issue writes a new certificate, and a new authority if a is nil.
func (res *Result) issue(a *Authority, r Request) error {
	if a == nil {
		var err error
		if a, err = NewAuthority(r.Now); err != nil {
			return err
		}
		res.NewAuthority = true
	}
	issued, err := a.Issue(r)
	if err != nil {
		return err
	}
	if res.NewAuthority {
		key, err := a.KeyPEM()
		if err != nil {
			return err
		}
		if err := writeBoth(res.CAKey, key, res.CACert, a.PEM); err != nil {
			return err
		}
	}
	res.Authority, res.Leaf, res.NewLeaf = a.Cert, issued.Leaf, true
	return writeBoth(res.Key, issued.KeyPEM, res.Cert, issued.CertPEM)
}

// writeBoth writes the key first: a certificate without its key helps nobody.
func writeBoth(keyFile string, key []byte, certFile string, cert []byte) error {
	if err := atomicfile.Write(keyFile, key, 0o600); err != nil {
		return err
	}
	return atomicfile.Write(certFile, cert, 0o644)
}

// loadAuthority reads the authority of a directory; nil if there is none.
func loadAuthority(f Files) (*Authority, error) {
	certPEM, certErr := readFile("certificate", f.CACert)
	keyPEM, keyErr := readFile("key", f.CAKey)
	noCert, noKey := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	switch {
	case noCert && noKey:
		return nil, nil
	case noCert:
		return nil, fmt.Errorf("%s is missing, but %s is there; put it back, or remove both to make a new authority", f.CACert, f.CAKey)
	case noKey:
		return nil, fmt.Errorf("%s is missing, but %s is there; put it back, or remove both to make a new authority", f.CAKey, f.CACert)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	a, err := ParseAuthority(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("authority %s with key %s: %w", f.CACert, f.CAKey, err)
	}
	return a, nil
}

func lasts(c *x509.Certificate, now time.Time) bool { return c.NotAfter.Sub(now) > renewBefore }

// isFor reports whether pair was issued by a for exactly hosts.
func isFor(pair *tls.Certificate, a *Authority, hosts Hosts) bool {
	have := Hosts{DNS: pair.Leaf.DNSNames, IPs: pair.Leaf.IPAddresses}
	return have.equal(hosts) && pair.Leaf.CheckSignatureFrom(a.Cert) == nil
}
