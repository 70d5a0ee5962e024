package app

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/meta"
)

// firstUser is the user of a registry that had none.
type firstUser struct {
	Name, Password string
	File           string
}

// openLogin opens the identity sources, and the keys that store has. Without any
// source it makes a password file with a first user, unless one is there from an
// earlier start.
func (s *Server) openLogin(e *entrance, store meta.Store) (*firstUser, error) {
	var first *firstUser
	list := s.cfg.Login
	if len(list) == 0 {
		list = []config.Login{defaultLogin(s.cfg)}
		var err error
		if first, err = makeFirstUser(list[0].Htpasswd.File); err != nil {
			return nil, err
		}
	}
	ss := &sources{limiter: authn.NewLimiter(s.cfg.Limits.PasswordChecks, 0), caches: caches{}, metrics: s.metrics}
	s.openLockout(e.desk)
	s.countLogins(ss)
	for _, l := range list {
		one, err := s.openSource(l, ss)
		if err != nil {
			return nil, err
		}
		ss.add(l.Source(), one)
	}
	e.keys = s.openAccessKeys(ss, store)
	ss.add(access.RobotSource, source{password: e.keys}) // it knows its own, so its place means nothing
	e.desk.Passwords, e.desk.Fresh = authn.Chain(ss.passwords...), authn.Chain(ss.fresh...)
	e.users = authn.Directories(ss.directories...)
	if len(ss.presences) > 0 {
		e.desk.Presence = authn.Presences(ss.presences...)
	}
	s.askForCertificates(ss.authorities)
	e.claims = ss.claims
	e.bearers = ss.bearers
	return first, nil
}

// defaultLogin is the identity source of a server for which none is named. The file has
// a folder of its own: who watches it is not woken by the database.
func defaultLogin(cfg config.Config) config.Login {
	return config.Login{Htpasswd: &config.Htpasswd{File: filepath.Join(cfg.Data, "users", "htpasswd")}}
}

// makeFirstUser makes a password file with one user, if there is none.
func makeFirstUser(file string) (*firstUser, error) {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil,nilerr // whatever is wrong with the file, opening it says so
	}
	if err := makeFolder(filepath.Dir(file)); err != nil {
		return nil, fmt.Errorf("cannot make a folder for the users: %w", err)
	}
	first := &firstUser{Name: "admin", Password: rand.Text(), File: file}
	hash, err := htpasswd.Hash(first.Password, htpasswd.DefaultCost)
	if err != nil {
		return nil, err
	}
	if _, err := htpasswd.Set(file, first.Name, hash); err != nil {
		return nil, err
	}
	return first, nil
}

// makeFolder makes a folder that outlives a power failure, as the users in it
// do: they are not shown again.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
