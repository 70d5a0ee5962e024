package ldap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// idAttributes tell an entry from an earlier one of the same name: those of Active
// Directory, of 389, and of any directory (RFC 4530). The first that an entry has
// counts.
var idAttributes = []string{"objectGUID", "nsUniqueId", "entryUUID"} //nolint:gochecknoglobals // a constant table

// lockAttributes say that an account is locked for good: those of Active Directory
// and of 389.
var lockAttributes = []string{"userAccountControl", "nsAccountLock"} //nolint:gochecknoglobals // a constant table

// person is an entry that can sign in.
type person struct {
	dn     string
	user   string
	stamp  string // as stampOf says
	id     string // as idOf says
	locked bool
	in     []string
}

// find returns the entry of a user.
//
// Errors: authn.ErrNoMatch.
func (s *Source) find(c *conn, user string) (person, error) {
	request := ldap.NewSearchRequest(s.cfg.Users.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, s.seconds(), false,
		strings.ReplaceAll(s.cfg.Users.Filter, "{user}", ldap.EscapeFilter(user)), s.attributes(), nil)
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
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || err == nil && len(found.Entries) > 1:
		return person{}, fmt.Errorf("users.filter finds more than one entry for %q: nobody knows who that is", user)
	case err != nil:
		return person{}, fmt.Errorf("search a user: %w", err)
	case len(found.Entries) == 0:
		return person{}, authn.ErrNoMatch
	}
	entry := found.Entries[0]
	// A directory ignores case and spaces where we do not: two names that it takes
	// for one would be two users to the rules.
	if !slices.Contains(entry.GetEqualFoldAttributeValues(s.cfg.Users.Name), user) {
		return person{}, authn.ErrNoMatch
	}
	in, err := s.namedBy(entry)
	return person{dn: entry.DN, user: user, stamp: stampOf(entry), id: idOf(entry), locked: isLocked(entry), in: in}, err
}

// namedBy returns the DNs of groups that an entry names.
func (s *Source) namedBy(entry *ldap.Entry) ([]string, error) {
	name := s.cfg.Groups.Attribute
	if name == "" {
		return nil, nil
	}
	for _, a := range entry.Attributes {
		if begin, _, options := strings.Cut(a.Name, ";"); options && strings.EqualFold(begin, name) {
			return nil, fmt.Errorf("the directory gives %s of %q in parts (%s): search the groups instead, with groups.base", name, entry.DN, a.Name)
		}
	}
	return entry.GetEqualFoldAttributeValues(name), nil
}

// bindName is who a user is to the directory where that needs no search.
func (s *Source) bindName(user string) string {
	if isDN(s.cfg.Users.Bind) {
		user = ldap.EscapeDN(user)
	}
	return strings.ReplaceAll(s.cfg.Users.Bind, "{user}", user)
}

// attributes are what is asked of an entry of a person.
func (s *Source) attributes() []string {
	list := slices.Concat([]string{s.cfg.Users.Name}, stampAttributes, idAttributes, lockAttributes)
	if s.cfg.Groups.Attribute != "" {
		list = append(list, s.cfg.Groups.Attribute)
	}
	return list
}

// stampOf returns a value that changes when the password of an entry does, when
// the entry is locked, and when it is another entry of the same name; "" if the
// directory does not tell.
func stampOf(entry *ldap.Entry) string {
	if firstOf(entry, stampAttributes) == "" {
		return ""
	}
	h := sha256.New()
	for _, part := range []string{strings.ToLower(entry.DN), firstOf(entry, idAttributes), firstOf(entry, stampAttributes)} {
		_, _ = fmt.Fprintf(h, "%q ", part) // never fails
	}
	for _, name := range lockAttributes {
		_, _ = fmt.Fprintf(h, "%q ", entry.GetEqualFoldRawAttributeValue(name))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// idOf returns what no two entries share, whatever their names; "" if the directory
// does not tell.
func idOf(entry *ldap.Entry) string {
	id := firstOf(entry, idAttributes)
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// accountDisabled is the bit of userAccountControl for an account that is locked
// (MS-ADTS, section 2.2.16).
const accountDisabled = 0x2

// isLocked reports whether the administrator has locked an account. A value that
// cannot be read locks it too.
func isLocked(entry *ldap.Entry) bool {
	if flags := entry.GetEqualFoldAttributeValue("userAccountControl"); flags != "" {
		if bits, err := strconv.ParseInt(flags, 10, 64); err != nil || bits&accountDisabled != 0 {
			return true
		}
	}
	lock := entry.GetEqualFoldAttributeValue("nsAccountLock")
	return lock != "" && !strings.EqualFold(lock, "false")
}

// firstOf returns the first attribute of a list that an entry has, with its value.
func firstOf(entry *ldap.Entry, list []string) string {
	for _, name := range list {
		if value := entry.GetEqualFoldRawAttributeValue(name); len(value) > 0 {
			return name + "=" + string(value)
		}
	}
	return ""
}

// group is an entry of a group, as far as one knows it.
type group struct {
	dn, name string
}

// groupsOf returns the names of all groups of somebody, in byte order.
func (s *Source) groupsOf(c *conn, p person) ([]string, error) {
	known := map[string]bool{} // by DN in lower case
	names := map[string]struct{}{}
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
			names[g.name] = struct{}{} // an entry may have several
			key := strings.ToLower(g.dn)
			if known[key] {
				continue
			}
			known[key] = true
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
			if in, err = s.namedBy(found.Entries[0]); err != nil {
				return nil, err
			}
		}
	}
	return s.groupsWith(c, g.dn, "", in)
}

// groupsWith returns the groups that an entry is in itself: those that it names,
// and those that are found.
func (s *Source) groupsWith(c *conn, dn, user string, named []string) ([]group, error) {
	var all []group
	for _, text := range named {
		name, counts, err := s.nameIn(text)
		if err != nil {
			return nil, err
		}
		if counts {
			all = append(all, group{dn: text, name: name})
		}
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
		names := entry.GetEqualFoldAttributeValues(s.cfg.Groups.Name)
		if len(names) == 0 {
			return nil, fmt.Errorf("the group %q has no %s, or bind_dn may not see it: look at groups.name", entry.DN, s.cfg.Groups.Name)
		}
		for _, name := range names {
			all = append(all, group{dn: entry.DN, name: name})
		}
	}
	return all, nil
}

// nameIn returns the name of a group, which begins its DN, and whether it counts.
func (s *Source) nameIn(text string) (name string, counts bool, err error) {
	dn, err := ldap.ParseDN(text)
	if err != nil {
		return "", false, fmt.Errorf("groups.attribute holds %q, which is not the DN of a group", text)
	}
	if s.cfg.Groups.Below != "" {
		below, err := ldap.ParseDN(s.cfg.Groups.Below)
		if err != nil || !below.AncestorOfFold(dn) {
			return "", false, err
		}
	}
	if len(dn.RDNs) > 0 {
		for _, a := range dn.RDNs[0].Attributes {
			if strings.EqualFold(a.Type, s.cfg.Groups.Name) {
				return a.Value, true, nil
			}
		}
	}
	return "", false, fmt.Errorf("the group %q has no %s in its name: groups.name must be the attribute that begins the DN of a group", text, s.cfg.Groups.Name)
}

func (s *Source) seconds() int { return max(1, int(s.cfg.Timeout.Seconds())) }
