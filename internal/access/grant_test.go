package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/oci"
)

func TestParseGrants(t *testing.T) {
	t.Parallel()
	repo := func(name string, actions ...string) access.Grant {
		return access.Grant{Type: access.RepositoryType, Name: name, Actions: actions}
	}
	for scope, want := range map[string][]access.Grant{
		"":                             nil,
		"   ":                          nil,
		"repository:team/app:pull":     {repo("team/app", "pull")},
		"repository:a:push,pull,push":  {repo("a", "pull", "push")},
		"repository:a:*":               {repo("a", "*")},
		"registry:catalog:*":           {{Type: "registry", Name: "catalog", Actions: []string{"*"}}},
		"repository(plugin):a/b:pull":  {{Type: "repository", Class: "plugin", Name: "a/b", Actions: []string{"pull"}}},
		"chart:host.example:5000/x:go": {{Type: "chart", Name: "host.example:5000/x", Actions: []string{"go"}}},
		" repository:b:pull  repository:a:pull repository:b:push,delete": {
			repo("b", "delete", "pull", "push"), repo("a", "pull"),
		},
	} {
		got, err := access.ParseGrants(scope)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", scope, err, diff)
		}
	}
}

func TestParseGrantsRefuses(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]string{
		"one word":                  "pull",
		"no actions":                "repository:a",
		"empty actions":             "repository:a:",
		"an empty action":           "repository:a:pull,",
		"upper-case actions":        "repository:a:Pull",
		"an action with a dash":     "repository:a:pull-all",
		"no type":                   ":a:pull",
		"an open class":             "repository(plugin:a:pull",
		"an empty class":            "repository():a:pull",
		"no name":                   "chart::pull",
		"no name of a repository":   "repository::pull",
		"upper-case repository":     "repository:Team/app:pull",
		"a repository with a port":  "repository:host:5000/app:pull",
		"dots":                      "repository:../a:pull",
		"a tab between":             "repository:a:pull\trepository:b:pull",
		"a good one and a bad one":  "repository:a:pull repository:b",
		"too many":                  strings.Repeat("repository:a:pull ", 101),
		"too long":                  "repository:a:" + strings.Repeat("p", 8<<10),
		"a name that is too long":   "repository:" + strings.Repeat("a", 256) + ":pull",
		"a bare registry of nobody": "registry::*",
	} {
		if got, err := access.ParseGrants(scope); err == nil || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := access.ParseGrants(strings.Repeat("repository:a:pull ", 100)); err != nil {
		t.Errorf("100 are not too many: %v", err)
	}
	if _, err := access.ParseGrants("repository:A:pull"); !errors.Is(err, oci.Errorf(oci.NameInvalid, "")) {
		t.Errorf("a bad name is of another kind: %v", err)
	}
}

func TestGrantsAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"repository:team/app:pull,push", "registry:catalog:*", "repository(plugin):a:pull"} {
		got, err := access.ParseGrants(s)
		if err != nil || len(got) != 1 || got[0].String() != s {
			t.Errorf("%q became %v, %v", s, got, err)
		}
	}
}

func TestCeilingCovers(t *testing.T) {
	t.Parallel()
	grants := func(scope string) access.Ceiling {
		list, err := access.ParseGrants(scope)
		if err != nil {
			t.Fatal(err)
		}
		return access.Ceiling(list)
	}
	all := []access.Action{access.Pull, access.Push, access.Overwrite, access.Delete, access.List, access.Admin}
	for name, c := range map[string]struct {
		ceiling access.Ceiling
		repo    string
		want    []access.Action
	}{
		"no token":                    {nil, "a", all},
		"no token, registry":          {nil, "", all},
		"a token of nothing":          {access.NoRights(), "a", nil},
		"a token of nothing, too":     {access.NoRights(), "", nil},
		"pull":                        {grants("repository:a:pull"), "a", []access.Action{access.Pull, access.List}},
		"push":                        {grants("repository:a:push"), "a", []access.Action{access.Push, access.Overwrite}},
		"delete":                      {grants("repository:a:delete"), "a", []access.Action{access.Delete}},
		"everything":                  {grants("repository:a:*"), "a", all},
		"another repository":          {grants("repository:a:*"), "b", nil},
		"below the repository":        {grants("repository:a:*"), "a/b", nil},
		"a repository, not the whole": {grants("repository:a:*"), "", nil},
		"the catalog":                 {grants("registry:catalog:*"), "", []access.Action{access.List}},
		"the catalog, no repository":  {grants("registry:catalog:*"), "catalog", nil},
		"another type":                {grants("chart:a:*"), "a", nil},
		"the second of two":           {grants("repository:b:pull repository:a:delete"), "a", []access.Action{access.Delete}},
	} {
		for _, action := range all {
			got := c.ceiling.Covers(access.Scope{Action: action, Repo: c.repo, Tag: "v1"})
			if want := slices.Contains(c.want, action); got != want {
				t.Errorf("%s: %s: %v, want %v", name, action, got, want)
			}
		}
	}
}

func FuzzParseGrants(f *testing.F) {
	f.Add("repository:team/app:pull,push registry:catalog:*")
	f.Add("repository(plugin):a:pull chart:h:5000/x:go")
	f.Add(":: a:b:")
	f.Fuzz(func(t *testing.T, scope string) {
		grants, err := access.ParseGrants(scope)
		if err != nil {
			return
		}
		var words []string
		for _, g := range grants {
			words = append(words, g.String())
		}
		again, err := access.ParseGrants(strings.Join(words, " "))
		if diff := cmp.Diff(grants, again); diff != "" || err != nil {
			t.Errorf("%q read again: %v\n%s", scope, err, diff)
		}
	})
}
