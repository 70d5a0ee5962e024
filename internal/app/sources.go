package app

import (
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/authn/ldap"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/filewatch"
)

// source is an identity source: it lets people in by their passwords, and knows
// later whether they are still there.
type source interface {
	authn.Stamped
	authn.Directory
	authn.Prober
}

// openSource opens an identity source.
func (s *Server) openSource(l config.Login, limiter *authn.Limiter) (source, error) {
	if l.LDAP != nil {
		return s.openLDAP(l)
	}
	return s.openHtpasswd(l, limiter)
}

func (s *Server) openHtpasswd(l config.Login, limiter *authn.Limiter) (*htpasswd.Source, error) {
	file := l.Htpasswd.File
	watch := filewatch.New(s.log, file)
	source, err := htpasswd.Open(l.Source(), file, limiter)
	if err != nil {
		return nil, err
	}
	s.keep = append(s.keep, keeper{what: "users", file: file, watch: watch, reload: source.Reload})
	return source, nil
}

func (s *Server) openLDAP(l config.Login) (*ldap.Source, error) {
	source, err := ldap.Open(l.Source(), l.LDAP.Config)
	if err != nil {
		return nil, fmt.Errorf("login %s: %w", l.Source(), err)
	}
	s.later(source)
	return source, nil
}

// remembers returns how long what a source has verified is remembered. The stamp of
// a password file ends that at once when a password changes; a directory is asked
// again soon.
func (s *Server) remembers(l config.Login) time.Duration {
	ttl := s.cfg.Limits.PasswordCache
	if l.LDAP != nil {
		ttl = min(ttl, l.LDAP.Cache)
	}
	return ttl
}

// caches are memories of verified passwords, one for each time to live.
type caches map[time.Duration]*authn.Cache

// before puts the memory for a time to live before a source; none for 0.
func (cs caches) before(name string, source authn.Stamped, ttl time.Duration) authn.Password {
	if ttl <= 0 {
		return source
	}
	if cs[ttl] == nil {
		cs[ttl] = authn.NewCache(ttl, 0)
	}
	return authn.Cached(name, source, cs[ttl])
}
