package ldap

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/moorgate/moorgate/internal/authn"
)

// Bounds of what is taken from a directory. More than that is an error: rules
// that deny must not miss a group.
const (
	maxGroups = 1000
	maxDepth  = 16 // of groups in groups
)

// stampAttributes change with the password: those of Active Directory, of the
// password policy overlay, of OpenLDAP (with any change of the entry), and of any
// directory. The first that an entry has counts.
var stampAttributes = []string{"pwdLastSet", "pwdChangedTime", "entryCSN", "modifyTimestamp"} //nolint:gochecknoglobals // a constant table

// idAttributes tell an entry from an earlier one of the same name.
var idAttributes = []string{"objectGUID", "entryUUID"} //nolint:gochecknoglobals // a constant table

// person is an entry that can sign in.
type person struct {
	dn    string
	user  string
	stamp string // changes with the password
	in    []string
}

// find returns the entry of a user.
//
// Errors: authn.ErrNoMatch.
func (s *Source) find(c *conn, user string) (person, error) {
	request := ldap.NewSearchRequest(s.cfg.Users.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, s.seconds(), false,
		strings.ReplaceAll(s.cfg.Users.Filter, "{user}", ldap.EscapeFilter(user)), s.attributes(s.cfg.Users.Name), nil)
	itself := s.cfg.Users.Base == ""
	if itself {
		request.BaseDN, request.Scope, request.Filter = s.bindName(user), ldap.ScopeBaseObject, "(objectClass=*)"
	}
	found, err := c.ldap.Search(request)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) && itself:
		return person{}, authn.ErrNoMatch
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return person{}, fmt.Errorf("there is no users.base %q, or bind_dn may not see it", s.cfg.Users.Base)
	case err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return person{}, fmt.Errorf("search a user: %w", err)
	case len(found.Entries) == 0:
		return person{}, authn.ErrNoMatch
	case len(found.Entries) > 1 || err != nil:
		return person{}, fmt.Errorf("users.filter finds more than one entry for %q: nobody knows who that is", user)
	}
	entry := found.Entries[0]
	// A directory ignores case and spaces where we do not: two names that it takes
	// for one would be two users to the rules.
	if !slices.Contains(entry.GetAttributeValues(s.cfg.Users.Name), user) {
		return person{}, authn.ErrNoMatch
	}
	return person{dn: entry.DN, user: user, stamp: stampOf(entry), in: entry.GetAttributeValues(s.cfg.Groups.Attribute)}, nil
}

// bindName is who a user is to the directory where that needs no search.
func (s *Source) bindName(user string) string {
	if isDN(s.cfg.Users.Bind) {
		user = ldap.EscapeDN(user)
	}
	return strings.ReplaceAll(s.cfg.Users.Bind, "{user}", user)
}

// attributes are what is asked of an entry of a person.
func (s *Source) attributes(name string) []string {
	list := slices.Concat([]string{name}, stampAttributes, idAttributes)
	if s.cfg.Groups.Attribute != "" {
		list = append(list, s.cfg.Groups.Attribute)
	}
	return list
}

func stampOf(entry *ldap.Entry) string {
	h := sha256.New()
	h.Write([]byte(strings.ToLower(entry.DN)))
	for _, list := range [][]string{idAttributes, stampAttributes} {
		h.Write([]byte{0})
		for _, name := range list {
			if value := entry.GetRawAttributeValue(name); len(value) > 0 {
				h.Write([]byte(name + "="))
				h.Write(value)
				break
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// group is an entry of a group, as far as one knows it.
type group struct {
	dn, name string
}

// groupsOf returns the names of all groups of somebody, in byte order.
func (s *Source) groupsOf(c *conn, p person) ([]string, error) {
	known := map[string]group{} // by DN in lower case
	next, err := s.groupsWith(c, p.dn, p.user, p.in)
	if err != nil {
		return nil, err
	}
	for depth := 0; len(next) > 0; depth++ {
		if depth > maxDepth {
			return nil, fmt.Errorf("groups of %q are nested more than %d deep", p.user, maxDepth)
		}
		var above []group
		for _, g := range next {
			key := strings.ToLower(g.dn)
			if _, seen := known[key]; seen {
				continue
			}
			known[key] = g
			if len(known) > maxGroups {
				return nil, fmt.Errorf("%q is in more than %d groups", p.user, maxGroups)
			}
			if !s.cfg.Groups.Nested {
				continue
			}
			more, err := s.groupsAbove(c, g)
			if err != nil {
				return nil, err
			}
			above = append(above, more...)
		}
		next = above
	}
	names := map[string]struct{}{}
	for _, g := range known {
		names[g.name] = struct{}{}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// groupsAbove returns the groups that a group is in.
func (s *Source) groupsAbove(c *conn, g group) ([]group, error) {
	var in []string
	if s.cfg.Groups.Attribute != "" {
		found, err := c.ldap.Search(ldap.NewSearchRequest(g.dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, s.seconds(), false,
			"(objectClass=*)", []string{s.cfg.Groups.Attribute}, nil))
		switch {
		case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		case err != nil:
			return nil, fmt.Errorf("read a group: %w", err)
		case len(found.Entries) == 1:
			in = found.Entries[0].GetAttributeValues(s.cfg.Groups.Attribute)
		}
	}
	return s.groupsWith(c, g.dn, g.name, in)
}

// groupsWith returns the groups that an entry is in itself: those that it names,
// and those that are found.
func (s *Source) groupsWith(c *conn, dn, user string, named []string) ([]group, error) {
	var all []group
	for _, text := range named {
		name, err := nameIn(text, s.cfg.Groups.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, group{dn: text, name: name})
	}
	if s.cfg.Groups.Base == "" {
		return all, nil
	}
	filter := strings.NewReplacer("{dn}", ldap.EscapeFilter(dn), "{user}", ldap.EscapeFilter(user)).Replace(s.cfg.Groups.Filter)
	found, err := c.ldap.Search(ldap.NewSearchRequest(s.cfg.Groups.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		maxGroups+1, s.seconds(), false, filter, []string{s.cfg.Groups.Name}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, fmt.Errorf("there is no groups.base %q, or bind_dn may not see it", s.cfg.Groups.Base)
	case err != nil:
		return nil, fmt.Errorf("search groups: %w", err)
	}
	for _, entry := range found.Entries {
		for _, name := range entry.GetAttributeValues(s.cfg.Groups.Name) {
			all = append(all, group{dn: entry.DN, name: name})
		}
	}
	return all, nil
}

// nameIn returns the value of an attribute in the first component of a DN.
func nameIn(text, attribute string) (string, error) {
	dn, err := ldap.ParseDN(text)
	if err != nil {
		return "", fmt.Errorf("groups.attribute holds %q, which is not the DN of a group", text)
	}
	if len(dn.RDNs) > 0 {
		for _, a := range dn.RDNs[0].Attributes {
			if strings.EqualFold(a.Type, attribute) {
				return a.Value, nil
			}
		}
	}
	return "", fmt.Errorf("the group %q has no %s in its name: groups.name must be the attribute that begins the DN of a group", text, attribute)
}

func (s *Source) seconds() int { return max(1, int(s.cfg.Timeout.Seconds())) }

// isNoMatch reports whether a user is not known here.
func isNoMatch(err error) bool { return errors.Is(err, authn.ErrNoMatch) }
