package access

import "slices"

// tree finds the rules whose globs match a repository, without looking at the
// others: globs share a path of nodes as far as their components are literal,
// ${user} or *.
type tree struct {
	literal map[string]*tree
	caller  *tree // ${user}
	single  *tree // *

	here  candidates // of globs that end here
	below candidates // of globs that end here with **

	// The rest of the globs begins with a wildcard. If it ends with a literal
	// component, only names that end with it are of interest.
	byLast map[string][]*wildTail
	tails  []*wildTail
}

// wildTail is the end of a glob whose place in a name is not fixed.
type wildTail struct {
	parts []component
	rules candidates
}

// candidates are rules by the number of the action they are about.
type candidates [actionCount]*candidateSet

// candidateSet has the rules about one action, in the order of their numbers.
type candidateSet struct{ deny, allow ruleSet }

type ruleSet struct {
	plain  []*rule // for all tags
	tagged []*rule // for some
	byTag  prefixed[tagRule]
}

type tagRule struct {
	glob string
	rule *rule
}

func (t *tree) insert(parts []component, r *rule) {
	for i, c := range parts {
		switch c.kind {
		case literal:
			t = child(&t.literal, c.text)
		case caller:
			t = grow(&t.caller)
		case single:
			t = grow(&t.single)
		default:
			if rest := parts[i:]; len(rest) == 1 && c.kind == deep {
				t.below.add(r)
			} else {
				t.tail(rest).rules.add(r)
			}
			return
		}
	}
	t.here.add(r)
}

// tail returns the tail of these parts, making it if need be.
func (t *tree) tail(parts []component) *wildTail {
	last := parts[len(parts)-1]
	tails := t.tails
	if last.kind == literal {
		tails = t.byLast[last.text]
	}
	for _, known := range tails {
		if slices.Equal(known.parts, parts) {
			return known
		}
	}
	made := &wildTail{parts: parts}
	if last.kind != literal {
		t.tails = append(t.tails, made)
		return made
	}
	if t.byLast == nil {
		t.byLast = map[string][]*wildTail{}
	}
	t.byLast[last.text] = append(tails, made)
	return made
}

func child(m *map[string]*tree, name string) *tree {
	if *m == nil {
		*m = map[string]*tree{}
	}
	if (*m)[name] == nil {
		(*m)[name] = &tree{}
	}
	return (*m)[name]
}

func grow(t **tree) *tree {
	if *t == nil {
		*t = &tree{}
	}
	return *t
}

// add adds a rule, whose number is not below those before, for all its actions.
func (c *candidates) add(r *rule) {
	for n := range c {
		if r.actions&(1<<n) == 0 {
			continue
		}
		if c[n] == nil {
			c[n] = &candidateSet{}
		}
		set := &c[n].deny
		if r.allow {
			set = &c[n].allow
		}
		set.add(r)
	}
}

func (s *ruleSet) add(r *rule) {
	if len(r.tags) == 0 {
		s.plain = appendOnce(s.plain, r)
		return
	}
	s.tagged = appendOnce(s.tagged, r)
	for _, g := range r.tags {
		s.byTag.add(beginning(g), tagRule{glob: g, rule: r})
	}
}

// appendOnce appends a rule unless it is there: two of its globs may be equal.
func appendOnce(list []*rule, r *rule) []*rule {
	if len(list) > 0 && list[len(list)-1] == r {
		return list
	}
	return append(list, r)
}
