// Package ldap is the identity source of an LDAP directory, such as OpenLDAP or
// Active Directory (RFC 4511).
package ldap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// Source is the users of a directory: an authn.Stamped and an authn.Entries.
type Source struct {
	name   string
	cfg    Config
	dialer *dialer
	pool   *pool
}

var (
	_ authn.Stamped = (*Source)(nil)
	_ authn.Entries = (*Source)(nil)
	_ authn.Prober  = (*Source)(nil)
)

// Open reads the files that c names. It does not connect: a directory that cannot
// be reached now does not keep others from signing in. name is Identity.Source of
// its users. c has passed Check.
func Open(name string, c Config) (*Source, error) {
	d, err := newDialer(c)
	if err != nil {
		return nil, err
	}
	return &Source{name: name, cfg: c, dialer: d, pool: newPool(d.dial, c.MaxConnections)}, nil
}

// Close ends the connections.
func (s *Source) Close() error {
	s.pool.close()
	return nil
}

// Stamp is authn.Stamped. A directory does not tell when a password changes, so
// what is remembered ends by its age alone.
func (s *Source) Stamp(user string) string {
	if !isName(user) {
		return ""
	}
	return s.name
}

// VerifyPassword is authn.Password. The password is shown to nobody but the
// directory, and there only as that of one entry.
func (s *Source) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	if !isName(user) {
		return access.Identity{}, authn.ErrNoMatch
	}
	verify := s.searchAndBind
	if s.cfg.Users.Bind != "" {
		verify = s.bindDirectly
	}
	var who access.Identity
	err := s.pool.use(ctx, func(c *conn) (err error) {
		who, err = verify(c, user, password)
		return err
	})
	return who, s.fault(err)
}

// searchAndBind finds the entry of a user, and then asks whether the password is
// that of the entry. For a name that is not there it asks about an entry that does
// not exist: as many questions are asked.
func (s *Source) searchAndBind(c *conn, user, password string) (access.Identity, error) {
	p, err := s.find(c, user)
	if errors.Is(err, authn.ErrNoMatch) {
		err = c.verify(s.cfg.Users.Name+"="+rand.Text()+","+s.cfg.Users.Base, rand.Text(), nil)
		if err == nil || errors.Is(err, errRefused) {
			err = authn.ErrNoMatch
		}
	}
	if err != nil {
		return access.Identity{}, err
	}
	err = c.verify(p.dn, password, nil)
	if errors.Is(err, errRefused) {
		err = authn.ErrWrongPassword
	}
	if err != nil {
		return access.Identity{}, err
	}
	return s.identity(c, p)
}

// bindDirectly signs in as the user, who then reads the own entry. Where somebody
// else may search too, a wrong password can be told from an unknown user.
func (s *Source) bindDirectly(c *conn, user, password string) (who access.Identity, err error) {
	err = c.verify(s.bindName(user), password, func() error {
		p, err := s.find(c, user)
		if err != nil {
			return err
		}
		// Who has signed in and who was found may be two: the filter looks for the
		// name in its own way. So the entry has to have the password.
		if err := c.ldap.Bind(p.dn, password); err != nil {
			return fmt.Errorf("sign in as %q, which users.filter finds for whoever signs in as %q: %w", p.dn, s.bindName(user), err)
		}
		who, err = s.identity(c, p)
		return err
	})
	if errors.Is(err, errRefused) {
		err = authn.ErrNoMatch
		if s.cfg.BindDN != "" {
			if _, err = s.find(c, user); err == nil {
				err = authn.ErrWrongPassword
			}
		}
	}
	if err != nil {
		return access.Identity{}, err
	}
	return who, nil
}

// errRefused says that a password is not that of an entry.
var errRefused = errors.New("refused by the directory")

// verify finds out whether a password is that of an entry, and runs as, if it is
// not nil, in its name. After it the connection is bound for searching again, or
// closed.
//
// Errors: errRefused.
func (c *conn) verify(dn, password string, as func() error) error {
	if password == "" || len(password) > maxPassword || strings.ContainsRune(password, 0) {
		// Without a password a directory says yes to anybody (RFC 4513, section
		// 5.1.2): it is asked about another one, which takes the same time.
		password = rand.Text()
	}
	err := c.ldap.Bind(dn, password)
	switch {
	case isRefusal(err):
		err = errRefused
	case err == nil && as != nil:
		err = as()
	}
	if c.dialer.direct {
		c.close() // nobody else can become of it
		return err
	}
	if again := c.bindSearcher(); again != nil {
		c.close() // it must not go on as that of somebody else
		if err == nil {
			return again
		}
	}
	return err
}

// Lookup is authn.Directory. Where only users themselves may read their entries,
// it cannot tell.
func (s *Source) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	e, err := s.LookupEntry(ctx, source, user)
	return e.Who, e.Stamp, err
}

// LookupEntry is authn.Entries. Who is locked is not there: nobody shows us a
// password that the directory could refuse.
func (s *Source) LookupEntry(ctx context.Context, source, user string) (authn.Entry, error) {
	if source != s.name || s.cfg.Users.Bind != "" && s.cfg.BindDN == "" {
		return authn.Entry{}, authn.ErrCannotTell
	}
	if !isName(user) {
		return authn.Entry{}, authn.ErrNoMatch
	}
	var e authn.Entry
	err := s.pool.use(ctx, func(c *conn) error {
		p, err := s.find(c, user)
		switch {
		case err != nil:
			return err
		case p.locked:
			return authn.ErrNoMatch
		case p.stamp == "":
			return fmt.Errorf("the directory does not tell when %q changes: bind_dn must be allowed to read one of %s", p.dn, strings.Join(stampAttributes, ", "))
		}
		e.Stamp, e.ID = p.stamp, p.id
		e.Who, err = s.identity(c, p)
		return err
	})
	if err != nil {
		return authn.Entry{}, s.fault(err)
	}
	return e, nil
}

func (s *Source) identity(c *conn, p person) (access.Identity, error) {
	groups, err := s.groupsOf(c, p)
	if err != nil {
		return access.Identity{}, err
	}
	return access.Identity{User: p.user, Groups: groups, Source: s.name}, nil
}

// fault says of which source an error is, unless it is an answer.
func (s *Source) fault(err error) error {
	if err == nil || isAnswer(err) || errors.Is(err, authn.ErrBusy) {
		return err
	}
	return fmt.Errorf("directory %s: %w", s.name, err)
}

// Bounds of a user name and a password, in bytes.
const (
	maxName     = 255
	maxPassword = 4096
)

// isName reports whether a directory can be asked about a name.
func isName(user string) bool {
	return user != "" && len(user) <= maxName && utf8.ValidString(user) && !strings.ContainsAny(user, "\x00\r\n:")
}
