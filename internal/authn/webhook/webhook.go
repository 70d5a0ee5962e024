// Package webhook is the identity source of a service of the operator that is asked
// over HTTPS.
package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/moorgate/moorgate/internal/authn/program"
)

// Source is the users of a service.
type Source struct {
	*program.Source
	cfg     Config
	service *service
}

// Open reads the files that c names. It does not connect: a service that cannot be
// reached now does not keep others from signing in. name is Identity.Source of its
// users. c has passed Check.
func Open(name string, c Config, log *slog.Logger) (*Source, error) {
	s := &service{url: c.URL, retries: c.Retries, away: &away{now: time.Now}, now: time.Now}
	limits := program.Limits{Timeout: c.Timeout, AtOnce: c.MaxConnections}
	source := &Source{Source: program.New(name, s, limits, log), cfg: c, service: s}
	if err := source.ReloadTLS(); err != nil {
		return nil, err
	}
	if err := source.Reload(); err != nil {
		return nil, err
	}
	return source, nil
}

// Reload reads the secret again. After an error the last good one stays.
func (s *Source) Reload() error {
	all, err := readSecrets(s.cfg.SecretFile)
	if err != nil {
		return err
	}
	s.service.secrets.Store(&all)
	return nil
}

// ReloadTLS reads the authorities and our certificate again: new questions are asked
// on new connections. After an error the last good ones stay.
func (s *Source) ReloadTLS() error {
	client, err := newClient(s.cfg)
	if err != nil {
		return err
	}
	if old := s.service.client.Swap(client); old != nil {
		old.CloseIdleConnections() // those in use end with their answer
		s.service.away.note(nil)   // it may have been away for want of the new ones
	}
	return nil
}

// Close ends the connections that rest.
func (s *Source) Close() error {
	s.service.client.Load().CloseIdleConnections()
	return nil
}

// Probe is authn.Prober: it asks the service.
func (s *Source) Probe(ctx context.Context) (string, error) {
	found, err := s.Source.Probe(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", place(s.cfg.URL), err)
	}
	return fmt.Sprintf("%s: %s", place(s.cfg.URL), found), nil
}

// place is a URL without its query, which may have a secret in it.
func place(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "the service"
	}
	return u.Scheme + "://" + u.Host + u.Path
}
