package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
)

// allow is a rule without mistakes, for a test to spoil.
func allow(spoil func(*access.Rule)) access.Rule {
	r := access.Rule{Who: []string{"user:alice"}, May: []string{"pull"}, Repos: []string{"team/**"}}
	spoil(&r)
	return r
}

func TestMistakesAreTold(t *testing.T) {
	t.Parallel()
	who := func(s ...string) access.Rule { return allow(func(r *access.Rule) { r.Who = s }) }
	repo := func(s string) access.Rule { return allow(func(r *access.Rule) { r.Repos = []string{s} }) }
	tag := func(s string) access.Rule { return allow(func(r *access.Rule) { r.Tags = []string{"ok", s} }) }
	when := func(s string) access.Rule { return allow(func(r *access.Rule) { r.When = s }) }
	for name, c := range map[string]struct {
		rule access.Rule
		path string
		says string // part of the message
	}{
		"nobody":                       {who(), "rules[0].who", "for nobody"},
		"a bare name":                  {who("bob"), "rules[0].who[0]", "write user:bob or group:bob"},
		"an empty entry":               {who(""), "rules[0].who[0]", "user:NAME"},
		"the empty user":               {who("user:"), "rules[0].who[0]", "the name is empty"},
		"another kind":                 {who("user:bob", "robot:bob"), "rules[0].who[1]", "group:NAME"},
		"an unknown group":             {who("group:nosuch"), "rules[0].who[0]", `no group "nosuch": known are dev`},
		"a glob of groups":             {who("group:d*"), "rules[0].who[0]", "no pattern"},
		"a bad glob of users":          {who("user:a[b"), "rules[0].who[0]", "[ has no ]"},
		"a user with a space":          {who("user:a b"), "rules[0].who[0]", "names have no ' '"},
		"an unknown action":            {allow(func(r *access.Rule) { r.May = []string{"pull", "write"} }), "rules[0].may[1]", `pull, push, overwrite, delete, list, admin or "*"`},
		"an unknown denial":            {allow(func(r *access.Rule) { r.May, r.Deny = nil, []string{"x"} }), "rules[0].deny[0]", `no action "x"`},
		"neither may nor deny":         {allow(func(r *access.Rule) { r.May = nil }), "rules[0]", "neither"},
		"may and deny":                 {allow(func(r *access.Rule) { r.Deny = []string{"push"} }), "rules[0]", "may and deny"},
		"no repos":                     {allow(func(r *access.Rule) { r.Repos = nil }), "rules[0]", `repos: ["**"]`},
		"no repos, admin and more":     {allow(func(r *access.Rule) { r.Repos, r.May = nil, []string{"admin", "pull"} }), "rules[0]", "no repos"},
		"an empty glob":                {repo(""), "rules[0].repos[0]", "empty"},
		"a slash before":               {repo("/a"), "rules[0].repos[0]", "slash"},
		"a slash behind":               {repo("a/"), "rules[0].repos[0]", "slash"},
		"two slashes":                  {repo("a//b"), "rules[0].repos[0]", "two slashes"},
		"** in a component":            {repo("team/a**"), "rules[0].repos[0]", "alone between slashes"},
		"three stars":                  {repo("team/***"), "rules[0].repos[0]", "alone between slashes"},
		"another variable":             {repo("home/${name}"), "rules[0].repos[0]", "no variable but ${user}"},
		"an open variable":             {repo("home/${user"), "rules[0].repos[0]", "no variable but ${user}"},
		"${user} in a class":           {repo("home/[${user}]"), "rules[0].repos[0]", "inside []"},
		"upper case":                   {repo("Team/**"), "rules[0].repos[0]", "upper-case"},
		"a tag in repos":               {repo("team/app:v1"), "rules[0].repos[0]", "tags go into tags"},
		"an open class":                {repo("a[b"), "rules[0].repos[0]", "[ has no ]"},
		"an empty class":               {repo("a[]b"), "rules[0].repos[0]", "empty"},
		"a range backwards":            {repo("[z-a]"), "rules[0].repos[0]", "not a range"},
		"open alternatives":            {repo("a{b,c"), "rules[0].repos[0]", "{ has no }"},
		"a slash in alternatives":      {repo("{a/b,c}"), "rules[0].repos[0]", "{ has no }, or has a slash"},
		"closed alternatives":          {repo("a}"), "rules[0].repos[0]", "pairs"},
		"alternatives in alternatives": {repo("{a,{b,c}}"), "rules[0].repos[0]", "pairs"},
		"too many alternatives":        {repo("{a,b}{a,b}{a,b}{a,b}{a,b}"), "rules[0].repos[0]", "at most 4"},
		"a comma":                      {repo("a,b"), "rules[0].repos[0]", "comma"},
		"a backslash":                  {repo(`a\*`), "rules[0].repos[0]", "have no '\\\\'"},
		"an endless glob":              {repo(strings.Repeat("a", 600)), "rules[0].repos[0]", "at most 512"},
		"an empty tag":                 {tag(""), "rules[0].tags[1]", "empty"},
		"a slash in a tag":             {tag("a/b"), "rules[0].tags[1]", "slash"},
		"** in a tag":                  {tag("v**"), "rules[0].tags[1]", "write *"},
		"${user} in a tag":             {tag("${user}-x"), "rules[0].tags[1]", "only in repos"},
		"an odd tag":                   {tag("v 1"), "rules[0].tags[1]", "tags have no ' '"},
		"a bad class in a tag":         {tag("v["), "rules[0].tags[1]", "[ has no ]"},
		"CEL that does not parse":      {when("who.user =="), "rules[0].when", "column 12: Syntax error"},
		"CEL on two lines":             {when("who.user == 'a' &&\n nosuch"), "rules[0].when", "line 2, column 2: undeclared reference to 'nosuch'"},
		"a misspelt field":             {when(`who.nmae == "x"`), "rules[0].when", "column 4: undefined field 'nmae'"},
		"a misspelt field of request":  {when(`request.ip == "x"`), "rules[0].when", "undefined field 'ip'"},
		"types that do not fit":        {when(`request.tls == "yes"`), "rules[0].when", "column 13: found no matching overload"},
		"no bool":                      {when(`who.user`), "rules[0].when", "it is string, and must be true or false"},
		"a claim that may be anything": {when(`claims.admin`), "rules[0].when", "it is dyn, and must be true or false"},
		"a bad range":                  {when(`cidr("10.0.0.0/33").containsIP(request.client)`), "rules[0].when", "column 6: invalid cidr argument"},
		"a bad range inside":           {when(`cidr("10.0.0.0/8").containsCIDR("10.1.0.0")`), "rules[0].when", `"10.1.0.0" is not a range`},
		"a bad own address":            {when(`ip("10.0.0") == ip(request.client)`), "rules[0].when", "column 4: invalid ip argument"},
		"a bad address":                {when(`cidr("10.0.0.0/8").containsIP("ten")`), "rules[0].when", `"ten" is not an IP address`},
		"a bad regular expression":     {when(`repo.matches("(")`), "rules[0].when", "invalid matches argument"},
		"endless CEL":                  {when(strings.Repeat("request.tls || ", 400) + "false"), "rules[0].when", "size"},
		"deep CEL":                     {when(strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200)), "rules[0].when", "recursion"},
		"unless is CEL too":            {allow(func(r *access.Rule) { r.Unless = "who" }), "rules[0].unless", "must be true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy, mistakes := access.Compile(access.Rules{
				Groups: map[string][]string{"dev": {"alice"}},
				Rules:  []access.Rule{c.rule, {Who: []string{"group:dev"}, May: []string{"push"}, Repos: []string{"x"}}},
			})
			if policy != nil || len(mistakes) != 1 {
				t.Fatalf("policy %v, mistakes %+v", policy, mistakes)
			}
			m := mistakes[0]
			if m.Path != c.path || !strings.Contains(m.Message, c.says) || m.Warning || strings.Contains(m.Message, "\n") {
				t.Errorf("mistake %+v, want %q at %s", m, c.says, c.path)
			}
		})
	}
}

func TestMistakesInGroups(t *testing.T) {
	t.Parallel()
	_, mistakes := access.Compile(access.Rules{
		Groups: map[string][]string{
			"":    {"a"},
			"b c": {"a"},
			"dev": {"alice", "", "user:bob", "group:ops", "a b", "a*", "eve\n", "bob", "ns:robot", "max@example.com"},
		},
		Rules: []access.Rule{{Who: []string{"group:dev", "group:b c", "group:"}, May: []string{"admin"}, When: "size(who.groups) > 1"}},
	})
	var paths []string
	for _, m := range mistakes {
		paths = append(paths, m.Path)
	}
	want := []string{
		"groups.", "groups.b c", "groups.dev[1]", "groups.dev[2]", "groups.dev[3]", "groups.dev[4]", "groups.dev[5]", "groups.dev[6]",
		"rules[0].who[1]", "rules[0].who[2]",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("%s\n%+v", diff, mistakes)
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	policy, mistakes := access.Compile(access.Rules{Rules: []access.Rule{
		{Who: []string{"bob", "group:x"}, May: []string{"fly"}, Repos: []string{"A", "b"}, Tags: []string{"/"}, When: "x", Unless: "1"},
		{},
	}})
	var paths []string
	for _, m := range mistakes {
		paths = append(paths, m.Path)
	}
	want := []string{
		"rules[0].who[0]", "rules[0].who[1]", "rules[0].may[0]", "rules[0].repos[0]", "rules[0].tags[0]", "rules[0].when", "rules[0].unless",
		"rules[1].who", "rules[1]", "rules[1]",
	}
	if diff := cmp.Diff(want, paths); diff != "" || policy != nil {
		t.Errorf("%s\n%+v", diff, mistakes)
	}
}

func TestGroupsFromOutside(t *testing.T) {
	t.Parallel()
	rules := access.Rules{OutsideGroups: true, Rules: []access.Rule{{Who: []string{"group:ldap"}, May: []string{"pull"}, Repos: []string{"**"}}}}
	policy, mistakes := access.Compile(rules)
	if policy == nil || len(mistakes) > 0 {
		t.Fatalf("%+v", mistakes)
	}
	q := access.Question{Who: access.Identity{User: "zoe", Groups: []string{"ldap"}}, Scope: access.Scope{Action: access.Pull, Repo: "a"}}
	if d := policy.Decide(q); !d.Allowed {
		t.Errorf("%+v", d)
	}
	q.Who.User = ""
	if d := policy.Decide(q); d.Allowed {
		t.Errorf("somebody without a name is in a group: %+v", d)
	}
}

// Rules are written "may|deny WHO ACTION REPO[:TAG] [if CEL] [; because]", the
// warnings as the number of the rule and a part of the message.
func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules []string
		want  map[int]string
	}{
		"an allow under a deny":                   {[]string{"may user:a pull x/y", "deny * pull x/**"}, map[int]string{1: "never allows anything: rule 2"}},
		"an allow under a wider allow":            {[]string{"may user:* pull **", "may user:a list x"}, map[int]string{2: "rule 1 allows all of it"}},
		"an allow before a wider allow":           {[]string{"may user:a list x", "may user:* pull **"}, map[int]string{1: "rule 2 allows all of it"}},
		"a deny under a wider deny":               {[]string{"deny * push a/**", "deny group:dev overwrite a/b/*"}, map[int]string{2: "rule 1 denies all of it"}},
		"a member of the group":                   {[]string{"may group:dev pull a", "may user:alice pull a"}, map[int]string{2: "rule 1"}},
		"a user of the glob":                      {[]string{"may user:a* pull a", "may user:alice pull a"}, map[int]string{2: "rule 1"}},
		"tags under tags":                         {[]string{"deny * push a:v*", "deny * push a:v1*", "deny * push a:v[0-9]"}, map[int]string{2: "rule 1", 3: "rule 1"}},
		"a tag under a glob":                      {[]string{"may * push a:{x,y}", "may * push a:x"}, map[int]string{2: "rule 1"}},
		"deletion of tags under a deny of them":   {[]string{"deny * delete a:v*", "may * delete a:v1"}, map[int]string{2: "never allows"}},
		"twice the same":                          {[]string{"may user:a pull a", "may user:b pull a", "may user:a pull a"}, map[int]string{3: "the same as rule 1"}},
		"twice the same condition":                {[]string{"may * pull a if request.tls", "may * pull a if request.tls"}, map[int]string{2: "the same as rule 1"}},
		"as wide as each other":                   {[]string{"may user:* pull **", "may user:* pull **/**"}, map[int]string{2: "rule 1"}},
		"a condition under an unconditional rule": {[]string{"may * pull a", "may * pull a if request.tls"}, map[int]string{2: "rule 1"}},
		"everything, of some repositories":        {[]string{"may user:a * a/**"}, nil},

		"no warning: another user":           {[]string{"may user:a pull a", "may user:b pull a"}, nil},
		"no warning: another repository":     {[]string{"may * pull a/**", "may * pull ab/x"}, nil},
		"no warning: * and **":               {[]string{"may * pull a/*", "may * pull a/**"}, map[int]string{1: "rule 2"}},
		"no warning: a deny under an allow":  {[]string{"may * pull **", "deny user:a pull b"}, nil},
		"no warning: more actions":           {[]string{"may * overwrite a", "may * push a"}, map[int]string{1: "rule 2"}},
		"no warning: a conditional deny":     {[]string{"deny * pull ** if request.tls", "may * pull a"}, nil},
		"no warning: a deny of tags":         {[]string{"deny * push a:*", "may * push a:v1"}, nil},
		"no warning: all tags, and some":     {[]string{"deny * push a:*", "deny * push a"}, map[int]string{1: "rule 2"}},
		"no warning: anonymous is apart":     {[]string{"may user:* pull a", "may anonymous pull a"}, nil},
		"no warning: a reason of its own":    {[]string{"deny * push a/b ; b is frozen", "deny * push a/**"}, nil},
		"no warning: everything, everywhere": {[]string{"may user:a * **"}, nil},
		"no warning: ${user} is no literal":  {[]string{"may * pull home/${user}/**", "may * pull home/alice/**"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := access.Rules{Groups: map[string][]string{"dev": {"alice"}}}
			for _, line := range c.rules {
				rules.Rules = append(rules.Rules, shortRule(line))
			}
			policy, mistakes := access.Compile(rules)
			got := map[int]string{}
			for _, m := range mistakes {
				if !m.Warning {
					t.Errorf("%+v", m)
				}
				if m.Path != "groups.dev" {
					got[int(m.Path[len("rules[")]-'0')+1] = m.Message
				}
			}
			if policy == nil || len(got) != len(c.want) {
				t.Errorf("policy %v, warnings %v, want %v", policy, got, c.want)
			}
			for number, says := range c.want {
				if !strings.Contains(got[number], says) {
					t.Errorf("rule %d: %q, want %q", number, got[number], says)
				}
			}
		})
	}
}

func shortRule(line string) access.Rule {
	line, because, _ := strings.Cut(line, " ; ")
	line, when, _ := strings.Cut(line, " if ")
	words := strings.Fields(line)
	r := access.Rule{Who: words[1:2], When: when, Because: because}
	repo, tags, tagged := strings.Cut(words[3], ":")
	if r.Repos = []string{repo}; tagged {
		r.Tags = []string{tags}
	}
	if words[0] == "deny" {
		r.Deny = words[2:3]
	} else {
		r.May = words[2:3]
	}
	return r
}

func TestUnusedGroup(t *testing.T) {
	t.Parallel()
	rules := access.Rules{Groups: map[string][]string{"used": {"a"}, "idle": {"b"}}, Rules: []access.Rule{shortRule("may group:used pull a")}}
	policy, mistakes := access.Compile(rules)
	want := []access.Mistake{{Path: "groups.idle", Message: "no rule uses the group", Warning: true}}
	if diff := cmp.Diff(want, mistakes); diff != "" || policy == nil {
		t.Error(diff)
	}
	rules.Rules = append(rules.Rules, shortRule(`may * pull b if "idle" in who.groups`))
	if _, mistakes := access.Compile(rules); len(mistakes) > 0 {
		t.Errorf("a condition may use it: %+v", mistakes)
	}
}

func TestRulesAreNamedForPeople(t *testing.T) {
	t.Parallel()
	many := []string{"user:a", "user:b", "user:c", "user:d", "user:e", "user:f"}
	for want, r := range map[string]access.Rule{
		"rule 1: user:* may pull on team/**":                                    shortRule("may user:* pull team/**"),
		"rule 1: user:* may not push on team/** for tags v*":                    shortRule("deny user:* push team/**:v*"),
		"rule 1: * may pull on ** under conditions":                             shortRule("may * pull ** if request.tls"),
		"rule 1: release tags are final":                                        shortRule("may * pull ** ; release tags\n \x1b are final"),
		"rule 1: user:a may admin":                                              {Who: []string{"user:a"}, May: []string{"admin"}},
		"rule 1: user:a, user:b, user:c, user:d and 2 more may pull, list on a": {Who: many, May: []string{"pull", "list"}, Repos: []string{"a"}},
	} {
		policy, mistakes := access.Compile(access.Rules{Rules: []access.Rule{r}})
		if policy == nil {
			t.Fatalf("%+v", mistakes)
		}
		action := access.Pull
		if slices.Contains(r.May, "admin") {
			action = access.Admin
		} else if len(r.Deny) > 0 {
			action = access.Push
		}
		q := access.Question{Who: access.Identity{User: "a"}, Scope: access.Scope{Action: action, Repo: "team/a", Tag: "v1"}}
		q.At.TLS = true
		if slices.Contains(r.Repos, "a") {
			q.Scope.Repo = "a"
		}
		if d := policy.Decide(q); strings.Join(strings.Fields(d.Rule), " ") != want {
			t.Errorf("%q, want %q", d.Rule, want)
		}
	}
}
