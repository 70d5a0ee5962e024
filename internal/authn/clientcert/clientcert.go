// Package clientcert is the identity source of people and machines who show a
// certificate when they connect (RFC 5280, RFC 8446 section 4.4.2), as Docker does
// from certs.d.
package clientcert

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// Source is those for whom an authority vouches: an authn.Presence. It verifies by
// itself, for each request and by the files as they are then: the TLS server only
// asks for a certificate, and sees to it that its key is there.
type Source struct {
	name  string
	cfg   Config
	now   func() time.Time
	trust atomic.Pointer[trust]
}

var (
	_ authn.Presence = (*Source)(nil)
	_ authn.Prober   = (*Source)(nil)
)

// Open reads the files that c names. name is Identity.Source of its users. c has
// passed Check.
func Open(name string, c Config) (*Source, error) {
	s := &Source{name: name, cfg: c, now: time.Now}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the files again. If one is bad, what was read before stays in force.
// What was verified by the old ones is forgotten.
func (s *Source) Reload() error {
	t, err := readTrust(s.cfg)
	if err != nil {
		return err
	}
	s.trust.Store(t)
	return nil
}

// Authorities are those whose certificates count now: TLS servers tell their names
// to clients, who then choose the right one.
func (s *Source) Authorities() []*x509.Certificate { return s.trust.Load().authorities }

// maxChain bounds how many certificates somebody may show: verifying takes time.
const maxChain = 10

// VerifyArrival is authn.Presence. A revocation list that is missing or out of date
// is a fault: nobody can say then who has been locked out.
func (s *Source) VerifyArrival(_ context.Context, a authn.Arrival) (access.Identity, error) {
	if a.TLS == nil || len(a.TLS.PeerCertificates) == 0 {
		return access.Identity{}, authn.ErrNoMatch
	}
	shown := a.TLS.PeerCertificates
	if len(shown) > maxChain {
		return access.Identity{}, refused(shown[0], fmt.Errorf("it came with %d others, at most %d are allowed", len(shown)-1, maxChain-1))
	}
	t, now := s.trust.Load(), s.now()
	key := keyOf(shown)
	if v, ok := t.memory.get(key, now); ok {
		return v.who, v.err
	}
	v := s.verify(t, shown, now)
	t.memory.put(key, v)
	return v.who, v.err
}

// verify finds out who shows some certificates, and how long that is so.
func (s *Source) verify(t *trust, shown []*x509.Certificate, now time.Time) verdict {
	until, err := t.verify(shown, now)
	if err != nil {
		return verdict{err: err, until: now.Add(patience)}
	}
	who, err := s.cfg.identity(s.name, shown[0])
	if err != nil {
		err = refused(shown[0], err)
	}
	return verdict{who: who, err: err, until: until}
}

// refused says that somebody is not known here, and why.
func refused(cert *x509.Certificate, why error) error {
	return fmt.Errorf("%w: the client certificate of %s is refused: %w", authn.ErrNoMatch, subjectOf(cert), why)
}

// maxSubject bounds a subject in a text, in bytes.
const maxSubject = 200

// subjectOf returns the subject of a certificate for people to read.
func subjectOf(cert *x509.Certificate) string {
	text := cert.Subject.String()
	if len(text) > maxSubject {
		text = text[:maxSubject] + "..."
	}
	return fmt.Sprintf("%q", text)
}
