package htpasswd

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// Source is the identity source of one password file: an authn.Stamped and an
// authn.Directory.
type Source struct {
	name    string
	path    string
	limiter *authn.Limiter
	seed    maphash.Seed

	reloading sync.Mutex // two reloads must not overtake each other
	users     atomic.Pointer[Users]
	matches   func(secret, string) bool // secret.matches, or what a test puts there
}

var (
	_ authn.Stamped   = (*Source)(nil)
	_ authn.Directory = (*Source)(nil)
	_ authn.Prober    = (*Source)(nil)
)

// Open reads the password file at path. name is Identity.Source of its users: it
// is stored with what is theirs, so it must be another for each source and stay
// the same. Passwords are checked when limiter lets them.
func Open(name, path string, limiter *authn.Limiter) (*Source, error) {
	s := &Source{name: name, path: path, limiter: limiter, seed: maphash.MakeSeed(), matches: secret.matches}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the file again. If that fails, the users stay as they were; the
// error names the file and says why.
func (s *Source) Reload() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	users, err := Load(s.path)
	if err != nil {
		return err
	}
	s.users.Store(users)
	return nil
}

// Users returns the users as they are now.
func (s *Source) Users() *Users { return s.users.Load() }

// VerifyPassword is authn.Password. The password of an unknown user is checked
// against the hash of a known one, always the same for the same name, and
// the result is thrown away: whatever mix of hashes the file holds, the time
// it takes does not tell who is in it.
func (s *Source) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	users := s.users.Load()
	if users.Len() == 0 {
		return access.Identity{}, authn.ErrNoMatch
	}
	entry, known := users.byName[user]
	if !known {
		entry = int(maphash.String(s.seed, user) % uint64(users.Len())) //nolint:gosec // smaller than Len
	}
	var matches bool
	err := s.limiter.Do(ctx, func() {
		matches = s.matches(users.entries[entry].secret, password)
	})
	switch {
	case err != nil:
		return access.Identity{}, err
	case !known:
		return access.Identity{}, authn.ErrNoMatch
	case !matches:
		return access.Identity{}, authn.ErrWrongPassword
	}
	return s.identity(user), nil
}

func (s *Source) identity(user string) access.Identity {
	return access.Identity{User: user, Source: s.name}
}

// Stamp is authn.Stamped: the stored hash of user.
func (s *Source) Stamp(user string) string {
	users := s.users.Load()
	if i, ok := users.byName[user]; ok {
		return users.entries[i].secret.text
	}
	return ""
}

// Lookup is authn.Directory. The stamp is the stored hash of user.
func (s *Source) Lookup(_ context.Context, source, user string) (access.Identity, string, error) {
	if source != s.name {
		return access.Identity{}, "", authn.ErrCannotTell
	}
	stamp := s.Stamp(user)
	if stamp == "" {
		return access.Identity{}, "", authn.ErrNoMatch
	}
	return s.identity(user), stamp, nil
}

// Probe is authn.Prober: it reads the file again.
func (s *Source) Probe(context.Context) (string, error) {
	if err := s.Reload(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d users in %s", s.Users().Len(), s.path), nil
}

// Load reads the password file at path. Errors are one line that names it.
func Load(path string) (*Users, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("password file %s: %w; make it with \"moorgate passwd add %s USER\"", path, fs.ErrNotExist, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("password file %s: %w; change its owner or mode, so that this user may read it", path, fs.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("password file: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	users, err := Parse(f)
	if err != nil {
		return nil, fmt.Errorf("password file %s: %w", path, err)
	}
	return users, nil
}
