package main

import (
	"maps"
	"slices"
)

// task is a scenario with one way to sign in: one table of the report.
type task struct {
	scenario
	guard guard
	kinds []kind
}

// title is what -run is matched with.
func (t *task) title() string { return t.name + ", " + t.guard.String() }

// plan is what there is to do. A task needs a server.
func (b *bench) plan(scenarios []scenario, kinds []kind) []*task {
	var list []*task
	for _, sc := range scenarios {
		for _, g := range sc.guards {
			t := &task{scenario: sc, guard: g}
			for _, k := range kinds {
				if sc.fits(k, g) && b.servers.MatchString(k.name) {
					t.kinds = append(t.kinds, k)
				}
			}
			if len(t.kinds) > 0 && b.only.MatchString(t.title()) {
				list = append(list, t)
			}
		}
	}
	return list
}

// roundsOf is how often a server is measured: what always comes to the same is
// measured once.
func (b *bench) roundsOf(t *task) int {
	if t.once {
		return 1
	}
	return b.rounds
}

// steps is the number of measurements.
func (b *bench) steps(plan []*task) int {
	var n int
	for _, t := range plan {
		n += b.roundsOf(t) * len(t.kinds)
	}
	return n
}

// guardsOf are those with a password file. A token is given for a password, too.
func guardsOf(plan []*task) []guard {
	seen := map[guard]bool{}
	for _, t := range plan {
		if t.guard != 0 {
			seen[max(t.guard, lightGuard)] = true
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// fits reports whether a server can take part in a scenario.
func (sc *scenario) fits(k kind, g guard) bool {
	switch {
	case !sc.takes(k), g == bearer && !k.ours, g != 0 && k.limit != "":
		return false
	case sc.large != nil && sc.large.folder == nil:
		return k.store
	default:
		return true
	}
}

// outcome is what a task came to.
type outcome struct {
	*task
	measured map[string][]result // by the name of the server
	failures []failure
}

// failure says which server could not do what.
type failure struct {
	server string
	err    error
}

func (o *outcome) fail(server string, err error) {
	o.failures = append(o.failures, failure{server, err})
	delete(o.measured, server) // half of the rounds would stand beside all of others
}

func (o *outcome) failed(server string) bool {
	return slices.ContainsFunc(o.failures, func(f failure) bool { return f.server == server })
}
