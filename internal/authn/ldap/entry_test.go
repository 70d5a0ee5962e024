package ldap

import (
	"errors"
	"testing"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/ldaptest"
)

// TestLockedIsNotThere: Active Directory and 389 say in the entry that an account is
// locked. Without a password to try, that is all there is to see.
func TestLockedIsNotThere(t *testing.T) {
	s := ldaptest.Start(t)
	dn := s.AddPerson(t, ldaptest.People, "alice", "secret")
	source := openSource(t, configOf(s))
	for _, tt := range []struct {
		attribute, value string
		locked           bool
	}{
		{"userAccountControl", "512", false},
		{"userAccountControl", "514", true},
		{"userAccountControl", "66048", false},
		{"userAccountControl", "-2147483134", true},
		{"userAccountControl", "-2147483136", false},
		{"nsAccountLock", "true", true},
		{"nsAccountLock", "TRUE", true},
		{"nsAccountLock", "false", false},
		{"nsAccountLock", "who knows", true},
	} {
		s.Replace(t, dn, tt.attribute, tt.value)
		who, _, err := source.Lookup(t.Context(), "ldap", "alice")
		if errors.Is(err, authn.ErrNoMatch) != tt.locked || !tt.locked && (err != nil || who.User != "alice") {
			t.Errorf("%s %s: %+v, %v; locked should be %v", tt.attribute, tt.value, who, err, tt.locked)
		}
		s.Replace(t, dn, tt.attribute)
	}
}

// TestEntryIsNotItsName: the ID stays when anything of the entry changes, and another
// entry of the same name has another one.
func TestEntryIsNotItsName(t *testing.T) {
	s := ldaptest.Start(t)
	dn := s.AddPerson(t, ldaptest.People, "alice", "secret")
	d := authn.Directories(openSource(t, configOf(s)))
	look := func() authn.Entry {
		t.Helper()
		e, err := authn.LookupEntry(t.Context(), d, "ldap", "alice")
		if err != nil || e.ID == "" || e.Stamp == "" || e.Who.User != "alice" {
			t.Fatalf("%+v, %v", e, err)
		}
		return e
	}
	first := look()
	s.Replace(t, dn, "userPassword", "another")
	changed := look()
	if changed.ID != first.ID || changed.Stamp == first.Stamp {
		t.Errorf("with another password: %+v, before %+v; want another stamp alone", changed, first)
	}
	s.Delete(t, dn)
	s.AddPerson(t, ldaptest.People, "alice", "secret")
	if again := look(); again.ID == first.ID {
		t.Error("another person of the name has the same ID")
	}
}
