package ldap

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/ldaptest"
)

// A group may be called like a user: it must not bring the groups of that user.
func TestGroupsOfGroupsAreNotThoseOfAName(t *testing.T) {
	c := Default()
	c.Groups.Base, c.Groups.Nested, c.Groups.Filter = ldaptest.Groups, true, "(|(member={dn})(memberUid={user}))"
	var found bool
	c.Check(func(key, problem string) {
		found = found || key == "groups.filter" && strings.Contains(problem, "which no group has")
	})
	if !found {
		t.Error("a filter by name is taken for groups of groups")
	}
}

func groupsOf(t *testing.T, s *Source, user string) []string {
	t.Helper()
	who, err := s.VerifyPassword(t.Context(), user, "secret")
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	return who.Groups
}

// Rules that deny must not miss a group: whatever way it is written, and whatever
// else it is called.
func TestNoGroupIsMissed(t *testing.T) {
	s := ldaptest.Start(t)
	alice := s.AddPerson(t, ldaptest.People, "alice", "secret")
	group := s.AddGroup(t, "developers", alice)
	s.Replace(t, group, "cn", "developers", "makers")
	c := configOf(s)
	c.Groups.Attribute, c.Groups.Name, c.Users.Name = "memberof", "CN", "UID"
	if got := groupsOf(t, openSource(t, c), "alice"); !slices.Equal(got, []string{"developers"}) {
		t.Errorf("by an attribute in another case: %q", got)
	}
	c.Groups.Attribute, c.Groups.Base = "", ldaptest.Groups
	if got := groupsOf(t, openSource(t, c), "alice"); !slices.Equal(got, []string{"developers", "makers"}) {
		t.Errorf("of a group with two names: %q", got)
	}
	c.Groups.Name = "description"
	if _, err := openSource(t, c).VerifyPassword(t.Context(), "alice", "secret"); err == nil || !strings.Contains(err.Error(), "has no description") {
		t.Errorf("a group without a name is no fault: %v", err)
	}
}

// Anybody may make groups somewhere: those count that lie where they should.
func TestGroupsFromElsewhereDoNotCount(t *testing.T) {
	s := ldaptest.Start(t)
	mallory := s.AddPerson(t, ldaptest.People, "mallory", "secret")
	s.Add(t, "ou=own,"+ldaptest.Suffix, "objectClass", "organizationalUnit", "ou", "own")
	s.Add(t, "cn=admins,ou=own,"+ldaptest.Suffix, "objectClass", "groupOfNames", "cn", "admins", "member", mallory)
	s.AddGroup(t, "guests", mallory)
	c := configOf(s)
	c.Groups.Attribute, c.Groups.Below = "memberOf", strings.ToUpper(ldaptest.Groups)
	if got := groupsOf(t, openSource(t, c), "mallory"); !slices.Equal(got, []string{"guests"}) {
		t.Errorf("mallory is in %q", got)
	}
}

// Whom the directory lets in by a name, and whom the filter finds for it, must be one.
func TestWhoSignsInIsWhoIsFound(t *testing.T) {
	s := ldaptest.Start(t)
	s.Add(t, "ou=others,"+ldaptest.Suffix, "objectClass", "organizationalUnit", "ou", "others")
	s.AddPerson(t, "ou=others,"+ldaptest.Suffix, "alice", "of another alice")
	s.AddGroup(t, "admins", s.AddPerson(t, ldaptest.People, "alice", "secret"))
	c := configOf(s)
	c.Users.Bind, c.Groups.Base = "uid={user},ou=others,"+ldaptest.Suffix, ldaptest.Groups
	for name, change := range map[string]func(*Config){
		"with somebody who searches": func(*Config) {},
		"alone":                      func(c *Config) { c.BindDN, c.PasswordFile = "", "" },
	} {
		c := c
		change(&c)
		who, err := openSource(t, c).VerifyPassword(t.Context(), "alice", "of another alice")
		if err == nil || isAnswer(err) || who.User != "" {
			t.Errorf("%s: the other alice is %+v, %v; want a fault", name, who, err)
		}
	}
}

// That our own account is refused says nothing about the password of a user.
func TestRefusedSearcherIsAFault(t *testing.T) {
	s := ldaptest.Start(t)
	s.AddPerson(t, ldaptest.People, "alice", "secret")
	source := openSource(t, configOf(s))
	groupsOf(t, source, "alice") // now a connection rests
	s.Replace(t, ldaptest.Searcher, "userPassword", "another one")
	for range 2 {
		if _, err := source.VerifyPassword(t.Context(), "alice", "secret"); err == nil || isAnswer(err) {
			t.Errorf("error %v; want a fault", err)
		}
	}
}

// A server that was restarted has ended the connections that rest: that is nobody's
// fault.
func TestConnectionsThatEndedAreMadeAnew(t *testing.T) {
	s := ldaptest.Start(t)
	s.AddPerson(t, ldaptest.People, "alice", "secret")
	source := openSource(t, configOf(s))
	groupsOf(t, source, "alice")
	s.Stop()
	s.Restart(t)
	groupsOf(t, source, "alice")
}

// Who comes when too many wait is told so, and nobody waits without end.
func TestWaitingIsBounded(t *testing.T) {
	p := newPool(nil, 1)
	if !p.inside.TryAcquire(1 + waitingPerConnection) {
		t.Fatal("less may wait than is said")
	}
	err := p.use(t.Context(), func(*conn) error { return nil })
	if !errors.Is(err, authn.ErrBusy) {
		t.Errorf("error %v; want ErrBusy", err)
	}
	p.inside.Release(1)
	p.slots = newPool(nil, 0).slots
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.use(ctx, func(*conn) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want that of the request", err)
	}
}
