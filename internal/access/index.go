package access

import "slices"

// rule is a Rule that has been read.
type rule struct {
	number  int // 1 for the first
	allow   bool
	actions actionSet // with all that they include
	who     []subject
	repos   []glob
	tags    []string
	when    *condition // nil if there is none
	unless  *condition
	text    string // for people

	registry bool // it counts for the registry as a whole: who may administer it
}

// index finds the rules that can apply to a question. Every rule is there once
// for each of its subjects.
type index struct {
	any bool // there are rules

	everybody, nobody, signedIn *subjectRules

	users  map[string]*subjectRules
	groups map[string]*subjectRules
	globs  prefixed[userGlob]

	memberOf map[string][]string // user name to the configured groups, sorted
}

type userGlob struct {
	glob  string
	rules *subjectRules
}

// subjectRules are the rules for one subject.
type subjectRules struct {
	repos    tree
	registry candidates // about the registry as a whole

	// The first rules that allow to list any repository, and to list one that
	// has the name of the caller in it; nil if there is none.
	lists, listsOwn *rule

	forAnonymous bool // some rule allows something that needs no name
}

func newIndex(rules []*rule, memberOf map[string][]string) *index {
	ix := &index{
		any: len(rules) > 0,

		everybody: &subjectRules{}, nobody: &subjectRules{}, signedIn: &subjectRules{},
		users: map[string]*subjectRules{}, groups: map[string]*subjectRules{},
		memberOf: memberOf,
	}
	globs := map[string]*subjectRules{}
	for _, r := range rules {
		for _, s := range r.who {
			ix.of(s, globs).add(r)
		}
	}
	return ix
}

// of returns the rules of a subject, to add one.
func (ix *index) of(s subject, globs map[string]*subjectRules) *subjectRules {
	named := func(m map[string]*subjectRules) *subjectRules {
		if m[s.name] == nil {
			m[s.name] = &subjectRules{}
		}
		return m[s.name]
	}
	switch s.kind {
	case everybody:
		return ix.everybody
	case nobody:
		return ix.nobody
	case signedIn:
		return ix.signedIn
	case group:
		return named(ix.groups)
	case user:
		return named(ix.users)
	}
	_, known := globs[s.name]
	rules := named(globs)
	if !known {
		ix.globs.add(beginning(s.name), userGlob{glob: s.name, rules: rules})
	}
	return rules
}

func (sr *subjectRules) add(r *rule) {
	for _, g := range r.repos {
		sr.repos.insert(g.parts, r)
	}
	anyone := slices.ContainsFunc(r.repos, func(g glob) bool { return !g.needsCaller() })
	sr.forAnonymous = sr.forAnonymous || r.allow && (anyone || r.registry)
	if r.registry {
		sr.registry.add(r)
	}
	if !r.allow || !r.actions.has(List) {
		return
	}
	if sr.lists == nil && anyone {
		sr.lists = r
	}
	if sr.listsOwn == nil && slices.ContainsFunc(r.repos, glob.needsCaller) {
		sr.listsOwn = r
	}
}
