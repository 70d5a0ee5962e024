package access

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// search looks for the rules that decide a question. It lives on the stack:
// deciding allocates nothing unless a condition is asked.
type search struct {
	q      Question // a copy: a pointer to it would bring it to the heap
	ix     *index
	action int
	own    string // the caller's name where it can stand for ${user}, else ""
	last   string // the last component of the repository

	deny, allow *rule // the first found so far
}

// decide answers q by the rules.
func (ix *index) decide(q *Question) Decision {
	s := search{q: *q, ix: ix}
	s.run()
	return s.decision()
}

// decideRobot answers q by the rules that deny: what a robot may is its key's to say.
func (ix *index) decideRobot(q *Question) Decision {
	s := search{q: *q, ix: ix}
	s.run()
	if s.deny != nil {
		return s.decision()
	}
	return Decision{Allowed: true, Rule: q.Who.With.allows}
}

// run looks among the rules for each subject that the caller is.
func (s *search) run() {
	q, ix := &s.q, s.ix
	n, known := q.Scope.Action.number()
	if !known || q.Scope.Repo != "" && !isRepository(q.Scope.Repo) {
		return
	}
	s.action, s.own = n, ownName(q.Who.User)
	s.last = q.Scope.Repo[strings.LastIndexByte(q.Scope.Repo, '/')+1:]
	s.ask(ix.everybody)
	if q.Who.IsAnonymous() {
		s.ask(ix.nobody)
		return
	}
	s.ask(ix.signedIn)
	s.ask(ix.users[q.Who.User])
	for _, name := range ix.configured(q.Who) {
		s.ask(ix.groups[name])
	}
	for _, name := range q.Who.Groups {
		s.ask(ix.groups[name])
	}
	for _, n := range ix.globs.lengths {
		for _, g := range ix.globs.with(q.Who.User, n) {
			if matchesUser(g.glob, q.Who.User) {
				s.ask(g.rules)
			}
		}
	}
}

func (s *search) decision() Decision {
	switch {
	case s.deny != nil:
		return Decision{Rule: s.deny.text}
	case s.allow != nil:
		return Decision{Allowed: true, Rule: s.allow.text}
	}
	return Decision{Rule: NoRule}
}

// matchesUser matches the name of a user. A slash in it is a character like
// others, while doublestar lets no wildcard pass one.
func matchesUser(glob, name string) bool {
	if strings.Contains(name, "/") {
		return doublestar.MatchUnvalidated(strings.ReplaceAll(glob, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
	}
	return doublestar.MatchUnvalidated(glob, name)
}

// ask looks among the rules for one subject; nil has none.
func (s *search) ask(rules *subjectRules) {
	switch {
	case rules == nil:
	case s.q.Scope.Repo != "":
		s.walk(&rules.repos, s.q.Scope.Repo)
	case s.q.Scope.Action == Admin:
		s.take(&rules.registry)
	case s.q.Scope.Action == List:
		s.allow = first(s.allow, rules.lists)
		if s.own != "" {
			s.allow = first(s.allow, rules.listsOwn)
		}
	}
}

func first(a, b *rule) *rule {
	if a == nil || b != nil && b.number < a.number {
		return b
	}
	return a
}

// walk looks among the globs below a node for those that match path. Every node
// has one place in the tree, so none is visited twice.
func (s *search) walk(t *tree, path string) {
	s.take(&t.below)
	s.tails(t.tails, path)
	if len(t.byLast) > 0 {
		s.tails(t.byLast[s.last], path)
	}
	if path == "" {
		s.take(&t.here)
		return
	}
	head, rest, _ := strings.Cut(path, "/")
	if next := t.literal[head]; next != nil {
		s.walk(next, rest)
	}
	if t.caller != nil && head == s.own {
		s.walk(t.caller, rest)
	}
	if t.single != nil {
		s.walk(t.single, rest)
	}
}

func (s *search) tails(list []*wildTail, path string) {
	for _, tail := range list {
		if tail.rules[s.action] != nil && matchParts(tail.parts, path, s.own) {
			s.take(&tail.rules)
		}
	}
}

// take considers rules whose subject and repository match.
func (s *search) take(found *candidates) {
	set := found[s.action]
	if set == nil {
		return
	}
	s.deny = s.firstOf(&set.deny, s.deny)
	if s.deny == nil { // else it is decided
		s.allow = s.firstOf(&set.allow, s.allow)
	}
}

// firstOf returns the first rule of set that counts, or best if that is before
// it.
func (s *search) firstOf(set *ruleSet, best *rule) *rule {
	best = s.firstIn(set.plain, best)
	if len(set.tagged) == 0 {
		return best
	}
	tag, allow := s.q.Scope.Tag, set.tagged[0].allow
	switch tag {
	case "", SomeTag:
		if allow && (tag == SomeTag || s.needsNoTag()) {
			return s.firstIn(set.tagged, best)
		}
	case EveryTag:
		if !allow {
			return s.firstIn(set.tagged, best)
		}
	default:
		return s.firstWithTag(set, best)
	}
	return best
}

// needsNoTag reports whether a right to some tags is enough for what is about no
// tag in particular, such as a blob: nobody with such a right could push or pull
// anything otherwise. What takes something away needs a right to all tags.
func (s *search) needsNoTag() bool {
	switch s.q.Scope.Action {
	case Pull, Push, List:
		return true
	}
	return false
}

func (s *search) firstIn(list []*rule, best *rule) *rule {
	for _, r := range list {
		if best != nil && best.number <= r.number {
			return best
		}
		if s.holds(r) {
			return r
		}
	}
	return best
}

func (s *search) firstWithTag(set *ruleSet, best *rule) *rule {
	tag := s.q.Scope.Tag
	for _, n := range set.byTag.lengths {
		for _, tr := range set.byTag.with(tag, n) {
			if best != nil && best.number <= tr.rule.number {
				break
			}
			if doublestar.MatchUnvalidated(tr.glob, tag) && s.holds(tr.rule) {
				best = tr.rule
			}
		}
	}
	return best
}

// holds reports whether the conditions of r let it count.
func (s *search) holds(r *rule) bool {
	return r.when == nil && r.unless == nil || s.ix.fulfilled(r, s.q)
}
