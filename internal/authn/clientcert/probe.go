package clientcert

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// soon is how long before the end of an authority its operator is told.
const soon = 30 * 24 * time.Hour

// Probe is authn.Prober: it tells which authorities and lists count, and until when.
func (s *Source) Probe(context.Context) (string, error) {
	t, now := s.trust.Load(), s.now()
	if faults := t.faults(now); len(faults) > 0 {
		return "", errors.Join(faults...)
	}
	var found []string
	for _, cert := range t.authorities {
		found = append(found, fmt.Sprintf("%s until %s", subjectOf(cert), cert.NotAfter.Format(time.DateOnly)))
	}
	text := "certificates by " + strings.Join(found, ", ")
	if t.lists != nil {
		text += "; revocation lists in " + t.lists.file
	}
	for _, warning := range t.ending(now) {
		text += "; warning: " + warning
	}
	return text, nil
}

// Warnings returns what the operator should know about the files at this time:
// whom they keep out, and what ends soon.
func (s *Source) Warnings() []string {
	t, now := s.trust.Load(), s.now()
	var list []string
	for _, fault := range t.faults(now) {
		list = append(list, fault.Error())
	}
	return append(list, t.ending(now)...)
}

// faults are why people with good certificates are not let in: there is no
// authority whose time it is, or one has no revocation list.
func (t *trust) faults(now time.Time) (faults []error) {
	good := 0
	for _, cert := range t.authorities {
		if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
			continue
		}
		good++
		if t.lists == nil {
			continue
		}
		if _, err := t.lists.of(cert, now); err != nil {
			faults = append(faults, err)
		}
	}
	if good == 0 {
		faults = append(faults, fmt.Errorf("no authority in %s is valid now: renew it, or mend the clock of this machine", t.caFile))
	}
	return faults
}

// ending tells which authorities have ended, or end soon.
func (t *trust) ending(now time.Time) (list []string) {
	for _, cert := range t.authorities {
		switch day := cert.NotAfter.Format(time.DateOnly); {
		case now.After(cert.NotAfter):
			list = append(list, fmt.Sprintf("the authority %s has ended on %s: nobody whom it vouches for is let in", subjectOf(cert), day))
		case now.Add(soon).After(cert.NotAfter):
			list = append(list, fmt.Sprintf("the authority %s ends on %s: put its successor into the file too", subjectOf(cert), day))
		}
	}
	return list
}
