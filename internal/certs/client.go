package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// ClientRequest says for which client a certificate is wanted.
type ClientRequest struct {
	Name   string    // its common name
	Groups []string  // its organizational units
	Days   int       // it is valid; 0 is DefaultDays
	Now    time.Time // its beginning
}

// clientNames are the names of clients: they are those of files, too.
var clientNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}$`) // RFC 5280, ub-common-name

// check reports what is wrong with the request.
func (r ClientRequest) check() error {
	if !clientNames.MatchString(r.Name) || r.Name == "ca" || r.Name == "domain" {
		return fmt.Errorf("%q cannot be the name of a client: use letters, digits, '.', '_', '@' and '-', at most 64, and neither \"ca\" nor \"domain\"", r.Name)
	}
	for _, group := range r.Groups {
		if !clientNames.MatchString(group) {
			return fmt.Errorf("%q cannot be the name of a group: use letters, digits, '.', '_', '@' and '-', at most 64", group)
		}
	}
	return nil
}

// CreateClient makes a certificate for a client in dir, and dir, and an authority if
// there is none in dir. Its files are NAME.cert and NAME.key, as Docker wants them
// in certs.d. It replaces them only if force is set.
//
// Errors: fs.ErrExist.
func CreateClient(dir string, r ClientRequest, force bool) (Result, error) {
	if err := r.check(); err != nil {
		return Result{}, err
	}
	return inDir(dir, func(res *Result) error {
		res.Cert, res.Key = filepath.Join(dir, r.Name+".cert"), filepath.Join(dir, r.Name+".key")
		if err := res.vacant(force); err != nil {
			return err
		}
		authority, err := loadLasting(res.Files, r.Now)
		if err != nil {
			return err
		}
		return res.issue(authority, Request{Days: r.Days, Now: r.Now, client: &r})
	})
}

// vacant reports whether there is no certificate yet, or it may be replaced.
func (res *Result) vacant(force bool) error {
	for _, path := range []string{res.Cert, res.Key} {
		if _, err := os.Lstat(path); !force && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already; add --force to replace it: %w", path, fs.ErrExist)
		}
	}
	return nil
}

// loadLasting is loadAuthority for one that can still vouch for somebody.
func loadLasting(f Files, now time.Time) (*Authority, error) {
	authority, err := loadAuthority(f)
	if err == nil && authority != nil && !now.Before(authority.Cert.NotAfter) {
		err = fmt.Errorf("the authority %s expired on %s; remove it and %s to make a new one",
			f.CACert, authority.Cert.NotAfter.Format(time.DateOnly), f.CAKey)
	}
	return authority, err
}

// name makes a template one of a client.
func (r *ClientRequest) name(t *x509.Certificate) {
	t.Subject = pkix.Name{CommonName: r.Name, OrganizationalUnit: r.Groups}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}
