package access

import (
	"fmt"
	"strings"
)

// actionCount is the number of actions.
const actionCount = 6

// actions lists them in the order of their numbers.
func actions() [actionCount]Action {
	return [actionCount]Action{Pull, Push, Overwrite, Delete, List, Admin}
}

// number is the place of an action in tables; false if there is no such action.
func (a Action) number() (int, bool) {
	for i, known := range actions() {
		if a == known {
			return i, true
		}
	}
	return 0, false
}

// actionSet has the bit 1<<n for the action of number n.
type actionSet uint8

func (s actionSet) has(a Action) bool {
	n, ok := a.number()
	return ok && s&(1<<n) != 0
}

func setOf(list ...Action) actionSet {
	var s actionSet
	for _, a := range list {
		if n, ok := a.number(); ok {
			s |= 1 << n
		}
	}
	return s
}

// includes returns all that an action of a rule stands for, in may and in deny
// alike: push includes overwrite, pull includes list, "*" includes everything.
// Not the other way round: who may overwrite may not push for that.
func includes(name string) (actionSet, bool) {
	switch a := Action(name); a {
	case "*":
		return 1<<actionCount - 1, true
	case Push:
		return setOf(Push, Overwrite), true
	case Pull:
		return setOf(Pull, List), true
	default:
		_, ok := a.number()
		return setOf(a), ok
	}
}

// readActions reads the actions of a rule.
func readActions(path string, names []string, told *mistakes) actionSet {
	var all actionSet
	for i, name := range names {
		s, ok := includes(name)
		if !ok {
			told.add(at(path, i), "there is no action %q: write %s or \"*\"", cut(name), knownActions())
		}
		all |= s
	}
	return all
}

func knownActions() string {
	var names []string
	for _, a := range actions() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

// at is the path of the i-th entry of a list.
func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
