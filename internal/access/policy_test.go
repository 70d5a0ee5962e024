package access_test

import (
	"testing"

	"github.com/moorgate/moorgate/internal/access"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	alice := access.Identity{User: "alice", Source: "htpasswd"}
	for name, c := range map[string]struct {
		policy *access.Policy
		who    access.Identity
		want   bool
	}{
		"open, anonymous":      {access.Open(), access.Anonymous(), true},
		"open, alice":          {access.Open(), alice, true},
		"signed in, anonymous": {access.SignedIn(), access.Anonymous(), false},
		"signed in, alice":     {access.SignedIn(), alice, true},
		"no rules, alice":      {&access.Policy{}, alice, false},
	} {
		for _, action := range []access.Action{access.Pull, access.Push, access.Overwrite, access.Delete, access.List, access.Admin} {
			d := c.policy.Decide(access.Question{Who: c.who, Scope: access.Scope{Action: action, Repo: "team/app"}})
			if d.Allowed != c.want || d.Rule == "" {
				t.Errorf("%s: %s: %+v", name, action, d)
			}
		}
	}
}

func TestIdentityKeyTellsSourcesApart(t *testing.T) {
	t.Parallel()
	a := access.Identity{User: "alice", Source: "htpasswd"}
	b := access.Identity{User: "alice", Source: "ldap"}
	if a.Key() == b.Key() || a.Key() == "" || access.Anonymous().Key() != "" {
		t.Errorf("keys %q, %q, %q", a.Key(), b.Key(), access.Anonymous().Key())
	}
}
