package tokenapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
)

// rules are those of a registry with several kinds of people.
func rules(t testing.TB) *access.Policy {
	return compile(t,
		access.Rule{Who: []string{"*"}, May: []string{"pull"}, Repos: []string{"public/**"}},
		access.Rule{Who: []string{"user:alice"}, May: []string{"pull", "push", "overwrite", "delete", "list"}, Repos: []string{"team/**", "final/**"}},
		access.Rule{Who: []string{"user:bob"}, May: []string{"pull", "push", "overwrite", "delete"}, Repos: []string{"team/app"}, Tags: []string{"v*"}},
		access.Rule{Who: []string{"user:carol"}, May: []string{"list"}, Repos: []string{"team/**"}},
		access.Rule{Who: []string{"user:root"}, May: []string{"admin"}},
		access.Rule{Who: []string{"*"}, Deny: []string{"overwrite", "delete"}, Repos: []string{"final/**"}, Tags: []string{"v*"}},
	)
}

func TestGrants(t *testing.T) {
	t.Parallel()
	const everything = "repository:team/app:pull,push,delete"
	for _, tt := range []struct {
		name, who, scope string
		gate, other      string // what is granted for a service with a gate of ours, and for another one
	}{
		{"all", "alice", everything, everything, everything},
		{"only what is asked", "alice", "repository:team/app:push", "repository:team/app:push", "repository:team/app:push"},
		{"all at once", "alice", "repository:team/app:*", everything + ",*", everything + ",*"},
		{"all at once, and one", "alice", "repository:team/app:*,pull", everything + ",*", everything + ",*"},
		{"a part", "alice", "repository:public/a:pull,push", "repository:public/a:pull", "repository:public/a:pull"},
		{"a part of all", "alice", "repository:public/a:*", "repository:public/a:pull", "repository:public/a:pull"},
		{"nothing", "mallory", everything, "", ""},
		{"nothing of all", "mallory", "repository:team/app:*", "", ""},
		{"anonymous", "", "repository:public/a:* " + everything, "repository:public/a:pull", "repository:public/a:pull"},

		// Somebody may do it to some tags: only a gate can tell.
		{"some tags", "bob", everything, everything, ""},
		{"some tags, all at once", "bob", "repository:team/app:*", everything + ",*", ""},
		{"some tags elsewhere", "bob", "repository:team/other:*", "", ""},
		// Those that are not named v* can be moved and deleted.
		{"tags that stay", "alice", "repository:final/a:*", "repository:final/a:pull,push,delete,*", "repository:final/a:pull"},
		// A gate of ours lets the list of tags be seen with "pull".
		{"listing", "carol", everything, "repository:team/app:pull", ""},

		{"catalog", "alice", "registry:catalog:*", "registry:catalog:*", ""},
		{"catalog of an admin", "root", "registry:catalog:*", "registry:catalog:*", "registry:catalog:*"},
		{"catalog of nobody", "", "registry:catalog:*", "registry:catalog:*", ""}, // of what is public
		{"catalog, other actions", "root", "registry:catalog:pull", "", ""},
		{"registry, other names", "root", "registry:garbage:*", "", ""},

		{"other types", "alice", "image:team/app:pull pull:team/app:pull", "", ""},
		{"other actions", "alice", "repository:team/app:admin,overwrite,list,pullx", "", ""},
		{"a class", "alice", "repository(plugin):team/app:pull", "repository(plugin):team/app:pull", "repository(plugin):team/app:pull"},

		{"several", "alice", "repository:team/a:pull repository:secret/b:pull repository:public/c:pull", "repository:team/a:pull repository:public/c:pull", "repository:team/a:pull repository:public/c:pull"},
		{"one in two parts", "alice", "repository:team/a:push repository:team/a:pull", "repository:team/a:pull,push", "repository:team/a:pull,push"},
		{"none", "alice", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for service, want := range map[string]string{"moorgate": tt.gate, "registry": tt.other} {
				f := newFixture(rules(t))
				if got := ok(t, f.get(t, form("service", service, "scope", tt.scope), tt.who)).granted(); got != want {
					t.Errorf("for %s: %q, not %q", service, got, want)
				}
			}
		})
	}
}

// Without Some a right to some tags is not enough to be granted deletion.
func TestWithoutSome(t *testing.T) {
	t.Parallel()
	f := newFixture(rules(t))
	f.Some = nil
	got := ok(t, f.get(t, form("service", "moorgate", "scope", "repository:team/app:pull,push,delete"), "bob")).granted()
	if got != "repository:team/app:pull,push" {
		t.Errorf("granted: %q", got)
	}
}

func TestCatalogOfThoseWhoMayListNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(compile(t, access.Rule{Who: []string{"user:alice"}, May: []string{"pull"}, Repos: []string{"**"}}))
	for _, service := range []string{"moorgate", "registry"} {
		if got := ok(t, f.get(t, form("service", service, "scope", "registry:catalog:*"), "mallory")).granted(); got != "" {
			t.Errorf("for %s: %q", service, got)
		}
	}
}

// The rule that is recorded is that of the action which the client asked for.
func TestRecordsBehindAGate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		who, scope string
		want       audit.Outcome
		action     access.Action
		rule       string
	}{
		{"mallory", "repository:team/app:pull", audit.Denied, access.Pull, "no rule allows it"},
		{"mallory", "registry:catalog:*", audit.Allowed, access.List, "rule 1"},
		{"carol", "repository:team/app:pull", audit.Allowed, access.List, "rule 4"},
		{"bob", "repository:team/app:delete", audit.Allowed, access.Delete, "allowed for some tags"},
	} {
		f := newFixture(rules(t))
		ok(t, f.get(t, form("service", "moorgate", "scope", tt.scope), tt.who))
		if len(f.records) != 1 {
			t.Errorf("%s: records %+v", tt.who, f.records)
			continue
		}
		r := f.records[0]
		if r.Outcome != tt.want || r.Scope.Action != tt.action || r.Scope.Tag != "" || !strings.Contains(r.Rule, tt.rule) {
			t.Errorf("%s, %s: %+v", tt.who, tt.scope, r)
		}
	}
}

// The token must fit into a header, whatever is asked for.
func TestHugeScopes(t *testing.T) {
	t.Parallel()
	scope := func(n, length int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("repository:team/%s%d:pull", strings.Repeat("a", length), i))
		}
		return strings.Join(list, " ")
	}
	for name, tt := range map[string]struct {
		scope string
		good  bool
	}{
		"twenty repositories":    {scope(20, 20), true},
		"a hundred repositories": {scope(100, 20), false},
		"twenty long names":      {scope(40, 150), false},
		"a thousand":             {scope(1000, 1), false},
		"a name that is no name": {"repository:" + strings.Repeat("a", 256) + ":pull", false},
		"a thousand of nothing":  {strings.Repeat(" ", 7<<10), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(rules(t))
			get := f.get(t, form("service", "registry", "scope", tt.scope), "alice")
			post := f.post(t, form("grant_type", "password", "username", "alice", "password", "alice's password", "service", "registry", "scope", tt.scope))
			if tt.good {
				ok(t, get)
				ok(t, post)
				return
			}
			refused(t, get, http.StatusBadRequest, "BAD_REQUEST")
			if b := refused(t, post, http.StatusBadRequest, "BAD_REQUEST"); b.Error != "invalid_scope" {
				t.Errorf("a POST is told %q", b.Error)
			}
		})
	}
}
