package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/command"
	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/authn/ldap"
	"github.com/moorgate/moorgate/internal/authn/webhook"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/filewatch"
)

// source is an identity source that is open. What it cannot do is nil.
type source struct {
	password  authn.Password  // takes names with passwords
	bearer    authn.Bearer    // takes tokens
	presence  authn.Presence  // knows people by how they come
	directory authn.Directory // knows later whether they are still there
	prober    authn.Prober    // can be tried; never nil
}

// sources are what all sources of a server share, and what they come to.
type sources struct {
	limiter *authn.Limiter
	caches  caches

	passwords   []authn.Password
	bearers     []authn.Bearer
	presences   []authn.Presence
	directories []authn.Directory
}

// add puts a source behind those that are there.
func (ss *sources) add(one source) {
	if one.password != nil {
		ss.passwords = append(ss.passwords, one.password)
	}
	if one.bearer != nil {
		ss.bearers = append(ss.bearers, one.bearer)
	}
	if one.presence != nil {
		ss.presences = append(ss.presences, one.presence)
	}
	if one.directory != nil {
		ss.directories = append(ss.directories, one.directory)
	}
}

// openSource opens an identity source.
func (s *Server) openSource(l config.Login, ss *sources) (one source, err error) {
	switch {
	case l.Htpasswd != nil:
		one, err = s.openHtpasswd(l, ss)
	case l.LDAP != nil:
		one, err = s.openLDAP(l, ss)
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
	password := ss.caches.before(l.Source(), users, min(s.cfg.Limits.PasswordCache, l.LDAP.Cache))
	return source{password: password, directory: users, prober: users}, nil
}

// openExec opens a program that is run for each question.
func (s *Server) openExec(l config.Login, ss *sources) (source, error) {
	users, err := command.Open(l.Source(), l.Exec.Config, s.log)
	if err != nil {
		return source{}, err
	}
	s.later(users)
	password := ss.caches.before(l.Source(), users, min(s.cfg.Limits.PasswordCache, l.Exec.Cache))
	return source{password: password, directory: users, prober: users}, nil
}

// openWebhook opens a service that is asked over HTTPS. Its secret is read again
// when the file changes.
func (s *Server) openWebhook(l config.Login, ss *sources) (source, error) {
	file := l.Webhook.SecretFile
	watch := filewatch.New(s.log, file)
	users, err := webhook.Open(l.Source(), l.Webhook.Config, s.log)
	if err != nil {
		return source{}, err
	}
	s.later(users)
	s.keep = append(s.keep, keeper{what: "secret of login " + l.Source(), file: file, watch: watch, reload: users.Reload})
	password := ss.caches.before(l.Source(), users, min(s.cfg.Limits.PasswordCache, l.Webhook.Cache))
	return source{password: password, directory: users, prober: users}, nil
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
