package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// warn tells of rules that work, but not as their author can mean it.
func warn(r Rules, rules []*rule, told *mistakes) {
	said := map[string]int{} // the number of the first rule that says it
	wide := byFixed(rules)
	for _, read := range rules {
		raw, path := r.Rules[read.number-1], at("rules", read.number-1)
		says := meaning(read, raw)
		if first := said[says]; first > 0 {
			told.warn(path, "it says the same as rule %d: remove one of them", first)
		} else {
			said[says] = read.number
			if other, why := idle(read, raw, wide, r.Groups); other != nil {
				told.warn(path, why, other.number)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Groups)) {
		if !usesGroup(r.Rules, name) {
			told.warn("groups."+name, "no rule uses the group")
		}
	}
}

// meaning is equal for rules that say the same, whatever their reasons and in
// whatever order.
func meaning(r *rule, raw Rule) string {
	var repos []string
	for _, g := range r.repos {
		repos = append(repos, g.text)
	}
	set := func(list []string) []string { return sorted(slices.Clone(list)) }
	return fmt.Sprintf("%v %v %q %q %q %q %q", r.allow, r.actions, set(raw.Who), set(repos), set(raw.Tags), raw.When, raw.Unless)
}

func isEverything(g glob) bool { return g.text == "**" }

// usesGroup reports whether a rule names a group, or has a condition that looks
// at groups, by name or not.
func usesGroup(rules []Rule, name string) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool {
		return slices.Contains(r.Who, "group:"+name) || strings.Contains(r.When+r.Unless, "groups")
	})
}

// byFixed returns the rules without conditions, by what their globs begin with
// up to the first wildcard. Only those can cover a glob that begin like it: so
// not every rule need be compared with every other.
func byFixed(rules []*rule) map[string][]*rule {
	found := map[string][]*rule{}
	for _, r := range rules {
		if r.when != nil || r.unless != nil {
			continue
		}
		for _, g := range r.repos {
			n := 0
			for n < len(g.parts) && (g.parts[n].kind == literal || g.parts[n].kind == caller) {
				n++
			}
			fixed := joined(g.parts[:n])
			found[fixed] = appendOnce(found[fixed], r)
		}
	}
	return found
}

func joined(parts []component) string {
	var b strings.Builder
	for _, c := range parts {
		b.WriteString(c.text + "/")
	}
	return b.String()
}

// idle returns a rule because of which r never decides anything, and the format
// of a message about its number; nil if there is none. It is careful: it finds
// only what certainly never decides.
func idle(r *rule, raw Rule, wide map[string][]*rule, groups map[string][]string) (*rule, string) {
	first := r.repos[0].parts
	for n := range len(first) + 1 {
		for _, other := range wide[joined(first[:n])] {
			if other == r || !covers(other, r, groups) {
				continue
			}
			if why := covered(r, raw, other, groups); why != "" {
				return other, why
			}
		}
	}
	return nil, ""
}

// covered words what becomes of r because other covers it; "" if r has a use.
func covered(r *rule, raw Rule, other *rule, groups map[string][]string) string {
	switch {
	case r.allow && !other.allow:
		return "it never allows anything: rule %d denies all of it, and a deny always wins"
	case r.allow != other.allow:
		return ""
	case covers(r, other, groups) && other.number > r.number && r.when == nil && r.unless == nil:
		return "" // as wide as each other: the later one is told
	case raw.Because != "" && r.number < other.number:
		return "" // it gives a reason of its own, which is reported
	case r.allow:
		return "it is not needed: rule %d allows all of it already"
	default:
		return "it is not needed: rule %d denies all of it already"
	}
}

func all[T any](list []T, holds func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !holds(v) })
}

// covers reports whether wide, its conditions aside, is about all that narrow is
// about. It may miss that; it never claims it wrongly.
func covers(wide, narrow *rule, groups map[string][]string) bool {
	return narrow.actions&^wide.actions == 0 && (wide.registry || !narrow.registry) && coversTags(wide, narrow) &&
		all(narrow.who, func(n subject) bool {
			return slices.ContainsFunc(wide.who, func(w subject) bool { return coversSubject(w, n, groups) })
		}) &&
		all(narrow.repos, func(n glob) bool {
			return slices.ContainsFunc(wide.repos, func(w glob) bool { return coversParts(w.parts, n.parts) })
		})
}

func coversSubject(wide, narrow subject, groups map[string][]string) bool {
	switch {
	case wide == narrow, wide.kind == everybody:
		return true
	case wide.kind == signedIn:
		return narrow.kind == user || narrow.kind == users || narrow.kind == group
	case narrow.kind != user:
		return false
	case wide.kind == users:
		return matchesUser(wide.name, narrow.name)
	}
	return wide.kind == group && slices.Contains(groups[wide.name], narrow.name)
}

func coversParts(wide, narrow []component) bool {
	for i, w := range wide {
		if w.kind == deep && i == len(wide)-1 {
			return true
		}
		if i >= len(narrow) || !coversComponent(w, narrow[i]) {
			return false
		}
	}
	return len(wide) == len(narrow)
}

func coversComponent(wide, narrow component) bool {
	switch {
	case wide == narrow:
		return true
	case narrow.kind == deep, wide.kind == deep:
		return false
	case wide.kind == single:
		return true
	}
	return narrow.kind == literal && wide.matches(narrow.text, "")
}

// coversTags knows that a right to some tags is also one to push and pull what is
// about no tag in particular, while a denial of some tags does not deny that.
func coversTags(wide, narrow *rule) bool {
	switch {
	case len(wide.tags) == 0:
		return true
	case len(narrow.tags) == 0:
		return false
	case narrow.allow && !wide.allow && narrow.actions&setOf(Pull, Push, List) != 0:
		return false
	}
	return all(narrow.tags, func(n string) bool {
		return slices.ContainsFunc(wide.tags, func(w string) bool { return coversTag(w, n) })
	})
}

func coversTag(wide, narrow string) bool {
	start := beginning(wide)
	switch wide {
	case narrow:
		return true
	case start + "*":
		return strings.HasPrefix(beginning(narrow), start)
	}
	return !isPattern(narrow) && (component{kind: pattern, text: wide}).matches(narrow, "")
}
