package access

import (
	"fmt"
	"slices"
	"strings"
)

// Compile makes a policy of rules, and says everything that is wrong with them.
// The policy is nil if any of the mistakes is not a Warning.
func Compile(r Rules) (*Policy, []Mistake) {
	told := &mistakes{}
	memberOf := checkGroups(r.Groups, told)
	c := compiler{groups: r.Groups, outside: r.OutsideGroups, told: told}
	var rules []*rule
	for i, raw := range r.Rules {
		if read := c.compile(i, raw); read != nil {
			rules = append(rules, read)
		}
	}
	warn(r, rules, told)
	if told.errors > 0 {
		return nil, told.list
	}
	return &Policy{rules: newIndex(rules, memberOf)}, told.list
}

// compiler reads rules.
type compiler struct {
	groups  map[string][]string
	outside bool
	cel     conditions
	told    *mistakes
}

// compile reads the rule of index i; nil if something is wrong with it.
func (c *compiler) compile(i int, raw Rule) *rule {
	path, before := at("rules", i), c.told.errors
	r := &rule{number: i + 1, allow: len(raw.May) > 0, tags: raw.Tags}
	r.who = readSubjects(path+".who", raw.Who, c.groups, c.outside, c.told)
	switch may, deny := len(raw.May) > 0, len(raw.Deny) > 0; {
	case may && deny:
		c.told.add(path, "it has may and deny: make two rules of it")
	case !may && !deny:
		c.told.add(path, "it neither allows nor denies: add may or deny with a list of actions")
	}
	r.actions = readActions(path+".may", raw.May, c.told) | readActions(path+".deny", raw.Deny, c.told)
	c.repos(path, raw, r)
	for n, tag := range raw.Tags {
		if err := checkTagGlob(tag); err != nil {
			c.told.add(at(path+".tags", n), "%q: %v", cut(tag), err)
		}
	}
	r.when = c.condition(path+".when", raw.When)
	r.unless = c.condition(path+".unless", raw.Unless)
	r.text = describe(i+1, raw)
	if c.told.errors > before {
		return nil
	}
	return r
}

func (c *compiler) repos(path string, raw Rule, r *rule) {
	for n, text := range raw.Repos {
		g, err := readGlob(text)
		if err != nil {
			c.told.add(at(path+".repos", n), "%q: %v", cut(text), err)
			continue
		}
		r.repos = append(r.repos, g)
	}
	// "*" on some repositories is everything there, and not the registry.
	r.registry = slices.Contains(slices.Concat(raw.May, raw.Deny), string(Admin)) ||
		r.actions.has(Admin) && slices.ContainsFunc(r.repos, isEverything)
	if len(raw.Repos) > 0 {
		return
	}
	if r.actions != setOf(Admin) {
		c.told.add(path, `it has no repos: write repos: ["**"] for all of them`)
	}
	r.repos = []glob{{text: "**", parts: []component{readComponent("**")}}}
}

func (c *compiler) condition(path, text string) *condition {
	made, err := c.cel.compile(text)
	if err != nil {
		c.told.add(path, "%v", err)
	}
	return made
}

// describe renders a rule for people: its reason, or what it says in short.
func describe(number int, r Rule) string {
	if because := oneLine(r.Because); because != "" {
		return fmt.Sprintf("rule %d: %s", number, because)
	}
	verb, names := "may", r.May
	if len(r.Deny) > 0 {
		verb, names = "may not", r.Deny
	}
	text := fmt.Sprintf("rule %d: %s %s %s", number, some(r.Who), verb, some(names))
	if len(r.Repos) > 0 {
		text += " on " + some(r.Repos)
	}
	if len(r.Tags) > 0 {
		text += " for tags " + some(r.Tags)
	}
	if r.When != "" || r.Unless != "" {
		text += " under conditions"
	}
	return oneLine(text)
}

// some lists the first few of a list.
func some(list []string) string {
	const most = 4
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
