package access_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
)

// shape is a policy of many rules, and a question that one of the last decides.
type shape struct {
	name  string
	rule  func(i int) access.Rule
	q     access.Question
	frees bool // a condition is asked, which allocates
}

const ruleCount = 1000

func shapes() []shape {
	may := func(who string, repos ...string) access.Rule {
		return access.Rule{Who: []string{who}, May: []string{"pull", "push"}, Repos: repos}
	}
	ask := func(user, repo, tag string) access.Question {
		return access.Question{
			Who:   access.Identity{User: user, Source: "htpasswd", Groups: []string{"staff", "dev"}},
			Scope: access.Scope{Action: access.Pull, Repo: repo, Tag: tag},
		}
	}
	tagged := func(r access.Rule, tags ...string) access.Rule {
		r.Tags = tags
		return r
	}
	return []shape{
		{name: "users", rule: func(i int) access.Rule { return may(fmt.Sprintf("user:u%d", i), "**") }, q: ask("u990", "team/app", "v1")},
		{name: "user globs", rule: func(i int) access.Rule { return may(fmt.Sprintf("user:u%d-*", i), "**") }, q: ask("u990-x", "team/app", "v1")},
		{name: "prefixes", rule: func(i int) access.Rule { return may("*", fmt.Sprintf("team%d/**", i)) }, q: ask("alice", "team990/app/web", "v1")},
		{name: "second components", rule: func(i int) access.Rule { return may("user:*", fmt.Sprintf("team/app%d/**", i)) }, q: ask("alice", "team/app990/web", "v1")},
		{name: "behind a wildcard", rule: func(i int) access.Rule { return may("user:*", fmt.Sprintf("*/app%d/**", i)) }, q: ask("alice", "team/app990/web", "v1")},
		{name: "suffixes", rule: func(i int) access.Rule { return may("user:*", fmt.Sprintf("**/app%d", i)) }, q: ask("alice", "team/web/app990", "v1")},
		{name: "homes", rule: func(i int) access.Rule { return may("user:*", fmt.Sprintf("home%d/${user}/**", i)) }, q: ask("alice", "home990/alice/web", "v1")},
		{name: "tags of one repository", rule: func(i int) access.Rule { return tagged(may("user:*", "**"), fmt.Sprintf("v%d.*", i)) }, q: ask("alice", "team/app", "v990.1")},
		{name: "tags of many", rule: func(i int) access.Rule {
			return tagged(may("user:*", fmt.Sprintf("team/app%d", i)), "v*", "latest")
		}, q: ask("alice", "team/app990", "latest")},
		{name: "no rule", rule: func(i int) access.Rule { return may("group:dev", fmt.Sprintf("team%d/**", i)) }, q: ask("alice", "other/app", "v1")},
		{name: "mix with conditions", frees: true, rule: func(i int) access.Rule {
			r := may("user:*", fmt.Sprintf("team%d/**", i))
			switch i % 4 {
			case 1:
				r = access.Rule{Who: []string{"group:staff"}, Deny: []string{"delete"}, Repos: []string{fmt.Sprintf("team%d/**", i-1)}, Tags: []string{"v*"}}
			case 2:
				r.When = `who.groups.exists(g, g == "dev")`
			case 3:
				r.Repos = []string{fmt.Sprintf("**/cache%d", i)}
			}
			return r
		}, q: ask("alice", "team990/app", "v1")},
	}
}

func (s shape) policy(tb testing.TB) *access.Policy {
	tb.Helper()
	rules := access.Rules{OutsideGroups: true}
	for i := range ruleCount {
		rules.Rules = append(rules.Rules, s.rule(i))
	}
	policy, mistakes := access.Compile(rules)
	if policy == nil {
		tb.Fatalf("%+v", mistakes)
	}
	return policy
}

func BenchmarkDecide(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			policy := s.policy(b)
			b.ReportAllocs()
			for b.Loop() {
				policy.Decide(s.q)
			}
		})
	}
}

func BenchmarkDecideWithKey(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			policy, q := s.policy(b), s.withKey(b)
			b.ReportAllocs()
			for b.Loop() {
				policy.Decide(q)
			}
		})
	}
}

// withKey is the question of somebody who comes with a key that allows it.
func (s shape) withKey(tb testing.TB) access.Question {
	tb.Helper()
	q := s.q
	var err error
	if q.Who.With, err = access.NewKey("id", "ci", false, []string{"push:other/**", "pull:" + q.Scope.Repo}); err != nil {
		tb.Fatal(err)
	}
	return q
}

func BenchmarkCompile(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				s.policy(b)
			}
		})
	}
}

// The shapes decide what their names say, and without allocating.
func TestDecideAllocatesNothing(t *testing.T) {
	for _, s := range shapes() {
		policy := s.policy(t)
		d := policy.Decide(s.q)
		if d.Allowed != (s.name != "no rule") {
			t.Errorf("%s: %+v", s.name, d)
		}
		allocs := testing.AllocsPerRun(10, func() { policy.Decide(s.q) })
		if (allocs > 0) != s.frees {
			t.Errorf("%s: %v allocations", s.name, allocs)
		}
		q := s.withKey(t)
		if with := testing.AllocsPerRun(10, func() { policy.Decide(q) }); with > allocs {
			t.Errorf("%s: %v allocations with a key, %v without", s.name, with, allocs)
		}
	}
}

// A decision is far below the 5 microseconds that it may take on a machine of our
// own; how far tells BenchmarkDecide. Here the best of some runs counts, with room
// for a slow machine and the race detector: what makes decisions go through all
// rules one by one is beyond that.
func TestDecideIsFast(t *testing.T) {
	const runs, decisions, most = 20, 50, 50 * time.Microsecond
	for _, s := range shapes() {
		policy := s.policy(t)
		best := time.Duration(math.MaxInt64)
		for range runs {
			begun := time.Now()
			for range decisions {
				policy.Decide(s.q)
			}
			best = min(best, time.Since(begun)/decisions)
		}
		t.Logf("%s: %s", s.name, best)
		if best > most {
			t.Errorf("%s: %s for a decision among %d rules", s.name, best, ruleCount)
		}
	}
}
