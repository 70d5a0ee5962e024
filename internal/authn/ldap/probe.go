package ldap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Probe is authn.Prober: it connects to each server, signs in, and looks at the
// places where people and groups are searched.
func (s *Source) Probe(ctx context.Context) (string, error) {
	var good []string
	var bad []error
	for _, u := range s.dialer.urls {
		c, err := s.dialer.dialOne(ctx, u)
		if err == nil {
			err = s.look(c)
			c.close()
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", u, err))
			continue
		}
		good = append(good, u.String())
	}
	if len(bad) > 0 {
		return "", errors.Join(bad...)
	}
	who := "nobody in particular"
	if s.cfg.BindDN != "" {
		who = s.cfg.BindDN
	}
	return fmt.Sprintf("%s: signed in as %s", strings.Join(good, ", "), who), nil
}

// look finds out whether the places of the configuration are there. Where users
// read their own entries, nobody else may see them.
func (s *Source) look(c *conn) error {
	if s.cfg.Users.Bind != "" && s.cfg.BindDN == "" {
		return nil
	}
	for key, base := range map[string]string{"users.base": s.cfg.Users.Base, "groups.base": s.cfg.Groups.Base} {
		if base == "" {
			continue
		}
		_, err := c.ldap.Search(ldap.NewSearchRequest(base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, s.seconds(), false, "(objectClass=*)", []string{"1.1"}, nil))
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return fmt.Errorf("there is no %s %q, or bind_dn may not see it", key, base)
		}
		if err != nil {
			return fmt.Errorf("%s %q: %w", key, base, err)
		}
	}
	return nil
}
