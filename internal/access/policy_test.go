package access_test

import (
	"strconv"
	"sync"
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
		"empty rules, alice":   {compiled(t), alice, false},
		"empty rules, nobody":  {compiled(t), access.Anonymous(), false},

		"delegated, anonymous":       {access.Delegated(), access.Anonymous(), false},
		"delegated, alice":           {access.Delegated(), alice, true},
		"delegated, no user name":    {access.Delegated(), access.Identity{Source: "tokens"}, true},
		"delegated, nobody vouching": {access.Delegated(), access.Identity{User: "alice"}, false},
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

// compiled makes a policy of rules as shortRule reads them.
func compiled(t *testing.T, lines ...string) *access.Policy {
	t.Helper()
	rules := access.Rules{Groups: map[string][]string{"dev": {"alice"}}}
	for _, line := range lines {
		rules.Rules = append(rules.Rules, shortRule(line))
	}
	policy, mistakes := access.Compile(rules)
	if policy == nil {
		t.Fatalf("%+v", mistakes)
	}
	return policy
}

func TestWhatIsKnownOfAPolicyWithoutAQuestion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy                     *access.Policy
		unrestricted, anonymousMay bool
	}{
		"open":              {access.Open(), true, true},
		"signed in":         {access.SignedIn(), false, false},
		"delegated":         {access.Delegated(), false, false},
		"zero":              {&access.Policy{}, false, false},
		"no rules":          {compiled(t), false, false},
		"everything to all": {compiled(t, "may * * **"), false, true},
		"anonymous pull":    {compiled(t, "may user:a push **", "may anonymous pull public/**"), false, true},
		"under a condition": {compiled(t, "may * pull a if request.tls"), false, true},
		"a right to homes":  {compiled(t, "may * pull home/${user}/**"), false, false},
		"the users":         {compiled(t, "may user:* pull **", "may group:dev push **"), false, false},
		"only denied":       {compiled(t, "may user:a pull **", "deny anonymous pull **", "deny * push **"), false, false},
	} {
		if c.policy.Unrestricted() != c.unrestricted || c.policy.AnonymousMay() != c.anonymousMay {
			t.Errorf("%s: unrestricted %v, anonymous may %v", name, c.policy.Unrestricted(), c.policy.AnonymousMay())
		}
	}
}

func TestAConditionThatTakesTooLongFailsClosed(t *testing.T) {
	t.Parallel()
	// Of three levels over all claims: a million steps for a hundred of them.
	slow := `claims.all(a, claims.all(b, claims.all(c, a + b + c != "")))`
	policy := compiled(t, "may * pull a if "+slow, "may * pull b", "deny * pull b if !("+slow+")")
	for count, want := range map[int]bool{2: true, 100: false} {
		claims := map[string]any{}
		for i := range count {
			claims[strconv.Itoa(i)] = true
		}
		for _, repo := range []string{"a", "b"} {
			q := access.Question{Who: access.Identity{User: "x", Claims: claims}, Scope: access.Scope{Action: access.Pull, Repo: repo}}
			if d := policy.Decide(q); d.Allowed != want {
				t.Errorf("%d claims, %s: %+v", count, repo, d)
			}
		}
	}
}

func TestConditionsSeeTheGroups(t *testing.T) {
	t.Parallel()
	policy := compiled(t, `may * pull a if who.groups.exists(g, g == "dev") && size(who.groups) == 2`)
	for name, c := range map[string]struct {
		who  access.Identity
		want bool
	}{
		"configured and brought":  {access.Identity{User: "alice", Groups: []string{"x"}}, true},
		"the same one twice":      {access.Identity{User: "alice", Groups: []string{"dev"}}, false},
		"only brought":            {access.Identity{User: "zoe", Groups: []string{"dev", "x"}}, true},
		"nobody is in any":        {access.Identity{Groups: []string{"dev", "x"}}, false},
		"another user, no groups": {access.Identity{User: "zoe"}, false},
	} {
		q := access.Question{Who: c.who, Scope: access.Scope{Action: access.Pull, Repo: "a"}}
		if d := policy.Decide(q); d.Allowed != c.want {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestManyMayAskAtOnce(t *testing.T) {
	t.Parallel()
	policy := compiled(t, "may user:* pull ** if request.agent.startsWith(who.user)")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			user := "u" + strconv.Itoa(i)
			for range 50 {
				q := access.Question{Who: access.Identity{User: user}, Scope: access.Scope{Action: access.Pull, Repo: "a"}}
				q.At.Agent = user + "/1"
				if !policy.Decide(q).Allowed {
					t.Error("denied")
				}
				q.At.Agent = "other"
				if policy.Decide(q).Allowed {
					t.Error("allowed")
				}
			}
		})
	}
	all.Wait()
}
