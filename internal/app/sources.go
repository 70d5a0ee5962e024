package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/command"
	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/authn/ldap"
	"github.com/moorgate/moorgate/internal/authn/oidc"
	"github.com/moorgate/moorgate/internal/authn/webhook"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/filewatch"
	"github.com/moorgate/moorgate/internal/metrics"
)

// source is an identity source that is open. What it cannot do is nil.
type source struct {
	password  authn.Password  // takes names with passwords
	fresh     authn.Password  // password without a memory that outlives a change; nil: it has none
	bearer    authn.Bearer    // takes tokens
	presence  authn.Presence  // knows people by how they come
	directory authn.Directory // knows later whether they are still there
	prober    authn.Prober    // can be tried; never nil for what is configured

	// remember is how long it counts for a key that its owner was there. It is for
	// directories that are slow to ask; 0 asks at each use of the key.
	remember time.Duration
}

// sources are what all sources of a server share, and what they come to.
type sources struct {
	limiter *authn.Limiter
	caches  caches
	metrics *metrics.Metrics // nil: nothing is counted

	passwords   []authn.Password
	fresh       []authn.Password // passwords without their memories
	bearers     []authn.Bearer
	presences   []authn.Presence
	directories []authn.Directory

	owners   []authn.Directory // directories, asked at each use of a personal key
	ownersOf []string          // the names of their sources

	authorities []func() []*x509.Certificate // of clients
	claims      []string                     // headers by which a proxy in front says who somebody is
}

// add puts a source behind those that are there. name is that of its users, and
// its answers are counted under it.
func (ss *sources) add(name string, one source) {
	if one.password != nil {
		ss.passwords = append(ss.passwords, authn.Named(name, ss.metrics.Password(name, one.password)))
		if one.fresh == nil {
			one.fresh = one.password
		}
		ss.fresh = append(ss.fresh, authn.Named(name, one.fresh)) // who is asked again is one login
	}
	if one.bearer != nil {
		ss.bearers = append(ss.bearers, ss.metrics.Bearer(name, one.bearer))
	}
	if one.presence != nil {
		ss.presences = append(ss.presences, ss.metrics.Presence(name, one.presence))
	}
	if one.directory != nil {
		ss.directories = append(ss.directories, one.directory)
		ss.owners = append(ss.owners, authn.Remembered(one.directory, one.remember))
		ss.ownersOf = append(ss.ownersOf, name)
	}
}

// openSource opens an identity source.
func (s *Server) openSource(l config.Login, ss *sources) (one source, err error) {
	switch {
	case l.Htpasswd != nil:
		one, err = s.openHtpasswd(l, ss)
	case l.LDAP != nil:
		one, err = s.openLDAP(l, ss)
	case l.Certificate != nil:
		one, err = s.openCertificate(l, ss)
	case l.Front != nil:
		one, err = s.openFront(l, ss)
	case l.OIDC != nil:
		one, err = s.openOIDC(l)
	case l.Exec != nil:
		one, err = s.openExec(l, ss)
	case l.Webhook != nil:
		one, err = s.openWebhook(l, ss)
	default: // no configuration without mistakes has such an entry
		err = errors.New("no such kind of source")
	}
	if err != nil {
		return source{}, fmt.Errorf("login %s: %w", l.Source(), err)
	}
	return one, nil
}

// openHtpasswd opens a password file. Its stamp ends what is remembered at once when
// a password changes.
func (s *Server) openHtpasswd(l config.Login, ss *sources) (source, error) {
	file := l.Htpasswd.File
	watch := filewatch.New(s.log, file)
	users, err := htpasswd.Open(l.Source(), file, ss.limiter)
	if err != nil {
		return source{}, err
	}
	s.keep = append(s.keep, keeper{what: "users", file: file, watch: watch, reload: users.Reload})
	password := ss.caches.before(l.Source(), users, s.cfg.Limits.PasswordCache)
	return source{password: password, directory: users, prober: users}, nil
}

// openLDAP opens a directory, which is asked again soon.
func (s *Server) openLDAP(l config.Login, ss *sources) (source, error) {
	users, err := ldap.Open(l.Source(), l.LDAP.Config)
	if err != nil {
		return source{}, err
	}
	s.later(users)
	remember := min(s.cfg.Limits.PasswordCache, l.LDAP.Cache)
	password := ss.caches.before(l.Source(), users, remember)
	return source{password: password, fresh: users, directory: users, prober: users, remember: remember}, nil
}

// openOIDC opens an issuer of tokens. It remembers what it verified by itself. Who has
// a token now may have none later, so there is no directory of them.
func (s *Server) openOIDC(l config.Login) (source, error) {
	watch := filewatch.New(s.log, l.OIDC.Files()...)
	machines, err := oidc.Open(l.Source(), l.OIDC.Config)
	if err != nil {
		return source{}, err
	}
	for _, file := range l.OIDC.Files() {
		s.keep = append(s.keep, keeper{what: "keys of " + l.Source(), file: file, watch: watch, reload: machines.Reload})
	}
	s.tasks = append(s.tasks, func(ctx context.Context) {
		if err := machines.Warm(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "nobody can sign in with a token until its keys can be had", "err", err)
		}
	})
	return source{password: machines, bearer: machines, prober: machines}, nil
}

// openExec opens a program that is run for each question.
func (s *Server) openExec(l config.Login, ss *sources) (source, error) {
	users, err := command.Open(l.Source(), l.Exec.Config, s.log)
	if err != nil {
		return source{}, err
	}
	s.later(users)
	remember := min(s.cfg.Limits.PasswordCache, l.Exec.Cache)
	password := ss.caches.before(l.Source(), users, remember)
	return source{password: password, fresh: users, directory: users, prober: users, remember: remember}, nil
}

// openWebhook opens a service that is asked over HTTPS. Its secret is read again
// when the file changes, and so are the files for TLS: each for itself, so that a
// mistake in one does not hold up the other.
func (s *Server) openWebhook(l config.Login, ss *sources) (source, error) {
	file, files := l.Webhook.SecretFile, l.Webhook.TLSFiles()
	watch, watchTLS := filewatch.New(s.log, file), filewatch.New(s.log, files...)
	users, err := webhook.Open(l.Source(), l.Webhook.Config, s.log)
	if err != nil {
		return source{}, err
	}
	s.later(users)
	s.keep = append(s.keep, keeper{what: "secret of login " + l.Source(), file: file, watch: watch, reload: users.Reload})
	if len(files) > 0 {
		s.keep = append(s.keep, keeper{
			what: "TLS of login " + l.Source(), file: strings.Join(files, ", "), watch: watchTLS, reload: users.ReloadTLS,
		})
	}
	remember := min(s.cfg.Limits.PasswordCache, l.Webhook.Cache)
	password := ss.caches.before(l.Source(), users, remember)
	return source{password: password, fresh: users, directory: users, prober: users, remember: remember}, nil
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

// hits returns how often a password was right by what they remember.
func (cs caches) hits() (n uint64) {
	for _, c := range cs {
		n += c.Hits()
	}
	return n
}
