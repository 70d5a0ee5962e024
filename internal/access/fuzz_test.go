package access_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/oci"
)

// FuzzDecide compares the index with a plain reading of the rules, one by one.
func FuzzDecide(f *testing.F) {
	for _, seed := range []string{"", "a", "push me around", strings.Repeat("\x01\x05\x09\x0d", 40), strings.Repeat("\xff\x00\x33\x71\x17", 60)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(agrees)
}

// TestIndexAgreesWithPlainReading does so for a few hundred policies at random.
func TestIndexAgreesWithPlainReading(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	for range 300 {
		data := make([]byte, 600)
		if _, err := random.Read(data); err != nil {
			t.Fatal(err)
		}
		agrees(t, data)
	}
}

func agrees(t *testing.T, data []byte) {
	t.Helper()
	d := &dice{data: data}
	rules := d.rules()
	policy, mistakes := access.Compile(rules)
	if policy == nil {
		t.Fatalf("rules of the test are wrong: %+v", mistakes)
	}
	k := d.key(t)
	for range 40 {
		q := d.question()
		allowed, number := naive(rules, q)
		want := "no rule allows it"
		if number > 0 {
			want = "rule " + strconv.Itoa(number) + ":"
		}
		k.agrees(t, policy, rules, q, allowed)
		if got := policy.Decide(q); got.Allowed != allowed || !strings.HasPrefix(got.Rule, want) {
			t.Fatalf("%+v\n%+v\nanswer: %+v, want %v by %s", rules, q, got, allowed, want)
		}
		if q.Who.User == "" && allowed && !policy.AnonymousMay() {
			t.Fatalf("%+v\n%+v\nallowed, though AnonymousMay is false", rules, q)
		}
		if q.Scope.Repo == "" {
			continue // the catalog knows no denials, and is no reason to keep a rule
		}
		for _, m := range mistakes {
			if without, ok := dropped(rules, m); ok {
				if again, _ := naive(without, q); again != allowed {
					t.Fatalf("%+v\n%+v\nfalse alarm: %+v", rules, q, m)
				}
			}
		}
	}
}

// naiveKey is a key and what it was made of: entries of actions and a glob.
type naiveKey struct {
	*access.Key
	may   []string
	names [][]string
	globs []string
}

func (d *dice) key(t *testing.T) naiveKey {
	t.Helper()
	var k naiveKey
	for i := range 1 + d.roll(2) {
		k.names = append(k.names, some(d, 1, []string{"pull", "push", "overwrite", "delete", "list", "admin", "*"}))
		k.globs = append(k.globs, pick(d, []string{"**", "*", "a", "a/b", "a/**", "${user}/**", "ci-${user}/b", "[ab]/?", "a{,b}/**"}))
		k.may = append(k.may, strings.Join(k.names[i], ",")+":"+k.globs[i])
	}
	var err error
	if k.Key, err = access.NewKey("id", "k", d.roll(2) == 0, k.may); err != nil {
		t.Fatalf("%q: %v", k.may, err)
	}
	return k
}

// agrees asks q for somebody who comes with the key, and for whom the rules alone would
// say owner, or for a robot.
func (k naiveKey) agrees(t *testing.T, policy *access.Policy, rules access.Rules, q access.Question, owner bool) {
	t.Helper()
	if q.Who.User == "" {
		return
	}
	if k.Robot {
		q.Who.Groups = nil
		owner = len(rules.Rules) > 0 && !naiveDenies(rules, q)
	}
	q.Who.With = k.Key
	want := owner && k.covers(q)
	if got := policy.Decide(q); got.Allowed != want {
		t.Fatalf("%+v\n%+v\nmay %q, robot %v\nanswer: %+v, want %v", rules, q, k.may, k.Robot, got, want)
	}
	q.Who.With = &access.Key{ID: "id", Robot: k.Robot}
	if got := policy.Decide(q); got.Allowed {
		t.Fatalf("%+v\n%+v\na key that is not known allows it: %+v", rules, q, got)
	}
}

// covers reports whether an entry of the key covers q.
func (k naiveKey) covers(q access.Question) bool {
	for i, names := range k.names {
		if naiveCovers(names, k.globs[i], q) {
			return true
		}
	}
	return false
}

// naiveCovers reports whether an entry of a key covers q. "*" is not admin.
func naiveCovers(names []string, glob string, q access.Question) bool {
	if q.Scope.Repo != "" && oci.CheckRepository(q.Scope.Repo) != nil {
		return false
	}
	named := slices.Contains(names, "admin")
	if q.Scope.Repo == "" && q.Scope.Action == access.Admin {
		return named
	}
	if q.Scope.Action == access.Admin && !named {
		return false
	}
	return naiveAction(names, q.Scope.Action) && naivePlace(access.Rule{May: names, Repos: []string{glob}}, q)
}

// naiveDenies reports whether a rule denies q. A robot is in no group.
func naiveDenies(rules access.Rules, q access.Question) bool {
	rules.Groups = nil
	return slices.ContainsFunc(rules.Rules, func(r access.Rule) bool { return len(r.Deny) > 0 && naiveCounts(rules, r, q) })
}

// dropped returns the rules without one that is said to be of no use.
func dropped(rules access.Rules, m access.Mistake) (access.Rules, bool) {
	var i int
	if _, err := fmt.Sscanf(m.Path, "rules[%d]", &i); err != nil || strings.HasSuffix(m.Path, ".may") {
		return rules, false
	}
	rules.Rules = slices.Delete(slices.Clone(rules.Rules), i, i+1)
	return rules, true
}

// dice makes choices out of fuzzed bytes.
type dice struct{ data []byte }

func (d *dice) roll(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	v := int(d.data[0])
	d.data = d.data[1:]
	return v % n
}

func pick[T any](d *dice, list []T) T { return list[d.roll(len(list))] }

func some(d *dice, least int, list []string) []string {
	var chosen []string
	for range least + d.roll(3) {
		chosen = append(chosen, pick(d, list))
	}
	return chosen
}

func (d *dice) rules() access.Rules {
	rules := access.Rules{
		Groups:        map[string][]string{"dev": {"alice", "bob"}, "ops": {"bob", "a/b"}},
		OutsideGroups: true,
	}
	for range d.roll(12) {
		r := access.Rule{
			Who: some(d, 1, []string{"*", "anonymous", "user:*", "user:alice", "user:bob", "user:a*", "user:{bob,carl}", "user:?/b", "group:dev", "group:ops", "group:ext"}),
			Repos: some(d, 1, []string{
				"**", "*", "a", "a/b", "a/**", "a/*", "**/b", "*/b", "a/**/b", "**/a/**", "${user}", "${user}/**", "a/${user}", "ci-${user}/b",
				"a/ci-${user}", "{a,b}/*", "[ab]/?", "**/${user}", "*-${user}/**", "a/${user}/**/b", "?/**/*", "a/b/c", "**/*/b", "{${user},b}/**", "**/a/**/b/**", "a{,b}/**",
			}),
			When:   pick(d, []string{"", "", "", "request.tls", `tag == "v1"`, `claims.missing == "x"`, `who.user == "alice"`}),
			Unless: pick(d, []string{"", "", "", "request.tls", `tag == "v1"`, `claims.missing == "x"`, `"ext" in who.groups`}),
		}
		names := some(d, 1, []string{"pull", "push", "overwrite", "delete", "list", "admin", "*"})
		if d.roll(3) == 0 {
			r.Deny = names
		} else {
			r.May = names
		}
		if d.roll(2) == 0 {
			r.Tags = some(d, 0, []string{"v*", "v1", "*", "dev-?", "{v1,latest}", "[lv]*", "v1.*"})
		}
		rules.Rules = append(rules.Rules, r)
	}
	return rules
}

func (d *dice) question() access.Question {
	var q access.Question
	q.Who.User = pick(d, []string{"", "alice", "bob", "carl", "a", "a*", "a/b", "Alice", "b"})
	if d.roll(3) == 0 {
		q.Who.Groups = []string{pick(d, []string{"ext", "dev", "none"})}
	}
	q.Scope = access.Scope{
		Action: pick(d, []access.Action{access.Pull, access.Push, access.Overwrite, access.Delete, access.List, access.Admin, "none"}),
		Repo: pick(d, []string{
			"", "a", "b", "c", "a/b", "a/a", "b/b", "ab/x", "alice", "alice/x", "a/alice", "ci-alice/b", "a/ci-bob", "a/x/y/b", "x/a/y/b/z", "x-bob/a/b", "a/b/c", "a/alice/b",
			"a/alice/x/b", "a/b/", "/a", "a//b", "A/b",
		}),
		Tag: pick(d, []string{"", access.EveryTag, access.SomeTag, "v1", "v2", "v1.2", "latest", "dev-1"}),
	}
	q.At.TLS = d.roll(2) == 0
	return q
}

// naive is the policy as its documentation tells it, rule by rule.
func naive(rules access.Rules, q access.Question) (allowed bool, number int) {
	if q.Scope.Repo != "" && oci.CheckRepository(q.Scope.Repo) != nil {
		return false, 0
	}
	for i, r := range rules.Rules {
		if len(r.Deny) > 0 && naiveCounts(rules, r, q) {
			return false, i + 1
		}
	}
	for i, r := range rules.Rules {
		if len(r.May) > 0 && naiveCounts(rules, r, q) {
			return true, i + 1
		}
	}
	return false, 0
}

func naiveCounts(rules access.Rules, r access.Rule, q access.Question) bool {
	groups := naiveGroups(rules, q.Who)
	who := slices.ContainsFunc(r.Who, func(s string) bool {
		kind, name, _ := strings.Cut(s, ":")
		switch {
		case s == "*":
			return true
		case s == "anonymous":
			return q.Who.User == ""
		case kind == "group":
			return slices.Contains(groups, name)
		case name == "*":
			return q.Who.User != ""
		}
		// * in the name of a user passes slashes too.
		return q.Who.User != "" && doublestar.MatchUnvalidated(strings.ReplaceAll(name, "/", "+"), strings.ReplaceAll(q.Who.User, "/", "+"))
	})
	if !who || !naiveAction(append(slices.Clone(r.May), r.Deny...), q.Scope.Action) {
		return false
	}
	if q.Scope.Repo == "" && q.Scope.Action == access.List { // the catalog asks each entry again
		return naivePlace(r, q)
	}
	return naivePlace(r, q) && naiveTag(r, q.Scope) && naiveConditions(r, q, groups)
}

// naivePlace reports whether a rule is about the repository of q, or about the
// registry if it names none.
func naivePlace(r access.Rule, q access.Question) bool {
	if q.Scope.Repo != "" {
		return slices.ContainsFunc(r.Repos, func(g string) bool { return naiveRepo(g, q) })
	}
	switch q.Scope.Action {
	case access.List:
		return len(r.May) > 0 && slices.ContainsFunc(r.Repos, func(g string) bool {
			return !strings.Contains(g, "${user}") || naiveOwn(q.Who.User)
		})
	case access.Admin:
		return slices.Contains(append(slices.Clone(r.May), r.Deny...), "admin") || slices.Contains(r.Repos, "**")
	default:
		return false
	}
}

func naiveGroups(rules access.Rules, who access.Identity) []string {
	if who.User == "" {
		return nil
	}
	groups := slices.Clone(who.Groups)
	for name, members := range rules.Groups {
		if slices.Contains(members, who.User) {
			groups = append(groups, name)
		}
	}
	return groups
}

func naiveAction(names []string, a access.Action) bool {
	return a != "none" && slices.ContainsFunc(names, func(name string) bool {
		return name == "*" || name == string(a) ||
			name == "push" && a == access.Overwrite || name == "pull" && a == access.List
	})
}

func naiveOwn(user string) bool {
	return oci.CheckRepository(user) == nil && !strings.Contains(user, "/")
}

func naiveRepo(glob string, q access.Question) bool {
	if strings.Contains(glob, "${user}") && !naiveOwn(q.Who.User) {
		return false
	}
	return doublestar.MatchUnvalidated(strings.ReplaceAll(glob, "${user}", q.Who.User), q.Scope.Repo)
}

func naiveTag(r access.Rule, s access.Scope) bool {
	switch {
	case len(r.Tags) == 0:
		return true
	case s.Tag == "":
		return len(r.May) > 0 && slices.Contains([]access.Action{access.Pull, access.Push, access.List}, s.Action)
	case s.Tag == access.EveryTag:
		return len(r.Deny) > 0
	case s.Tag == access.SomeTag:
		return len(r.May) > 0
	}
	return slices.ContainsFunc(r.Tags, func(g string) bool { return doublestar.MatchUnvalidated(g, s.Tag) })
}

// naiveConditions knows the few conditions of the test. Of what cannot be told,
// the worse is taken.
func naiveConditions(r access.Rule, q access.Question, groups []string) bool {
	value := func(text string, unsure bool) bool {
		switch text {
		case "request.tls":
			return q.At.TLS
		case `tag == "v1"`:
			return q.Scope.Tag == "v1" || q.Scope.Tag == access.EveryTag && unsure || q.Scope.Tag == access.SomeTag && !unsure
		case `who.user == "alice"`:
			return q.Who.User == "alice"
		case `"ext" in who.groups`:
			return slices.Contains(groups, "ext")
		}
		return unsure // claims.missing
	}
	deny := len(r.Deny) > 0
	return (r.When == "" || value(r.When, deny)) && (r.Unless == "" || !value(r.Unless, !deny))
}

// FuzzCompile: whatever is written into a rule, it is either understood or
// complained about.
func FuzzCompile(f *testing.F) {
	f.Add("user:alice", "pull", "team/**", "v*", `who.user == "x"`, "alice")
	f.Add("group:g", "*", "home/${user}/[a-z]{b,c}", "{a,b}", `cidr("10.0.0.0/8").containsIP(request.client)`, "user:x")
	f.Add("user:a[", "admin", "a{/}b", "[", `has(claims.x) && claims.x.all(y, y > 1`, "")
	f.Add("user:{", "push", "[!-a]/**", "a\\", "tag.matches('(')", "é\xff")
	f.Fuzz(func(t *testing.T, who, action, repo, tag, when, member string) {
		policy, mistakes := access.Compile(access.Rules{
			Groups: map[string][]string{"g": {member}},
			Rules: []access.Rule{
				{Who: []string{who}, May: []string{action}, Repos: []string{repo}, Tags: []string{tag}, When: when},
				{Who: []string{"*", who}, Deny: []string{action}, Repos: []string{repo}, Unless: when, Because: member},
			},
		})
		wrong := slices.ContainsFunc(mistakes, func(m access.Mistake) bool { return !m.Warning })
		if (policy == nil) != wrong {
			t.Fatalf("policy %v, mistakes %+v", policy, mistakes)
		}
		for _, m := range mistakes {
			if m.Path == "" || m.Message == "" || strings.ContainsAny(m.Message, "\n\r") {
				t.Errorf("mistake %+v", m)
			}
		}
		if policy == nil {
			return
		}
		for _, user := range []string{"", "alice", member} {
			for _, tag := range []string{"", access.EveryTag, "v1"} {
				d := policy.Decide(access.Question{Who: access.Identity{User: user}, Scope: access.Scope{Action: access.Pull, Repo: "team/a", Tag: tag}})
				if d.Rule == "" || strings.ContainsAny(d.Rule, "\n\r") {
					t.Errorf("rule %q", d.Rule)
				}
			}
		}
	})
}
