package access

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// subjectKind says whom an entry of who means.
type subjectKind int

const (
	everybody subjectKind = iota // "*": whether signed in or not
	nobody                       // "anonymous": whoever is not signed in
	signedIn                     // "user:*": whoever is
	user                         // "user:NAME"
	users                        // "user:GLOB"
	group                        // "group:NAME"
)

// subject is an entry of who.
type subject struct {
	kind subjectKind
	name string // of a user or a group, or the glob of user names
}

func readSubject(text string) (subject, error) {
	kindName, name, _ := strings.Cut(text, ":")
	switch {
	case text == "*":
		return subject{kind: everybody}, nil
	case text == "anonymous":
		return subject{kind: nobody}, nil
	case text == "user:*":
		return subject{kind: signedIn}, nil
	case kindName == "user" && isPattern(name):
		return subject{kind: users, name: name}, checkPattern(name, userLetter, false)
	case kindName == "user":
		return subject{kind: user, name: name}, checkName(name)
	case kindName == "group":
		return subject{kind: group, name: name}, checkName(name)
	case text != "" && checkName(text) == nil && !strings.Contains(text, ":"):
		return subject{}, fmt.Errorf("write user:%[1]s or group:%[1]s", cut(text))
	}
	return subject{}, errors.New(`write "*", anonymous, user:NAME, "user:*" or group:NAME`)
}

// checkName checks the name of a user or a group where no glob can be.
func checkName(name string) error {
	if name == "" {
		return errors.New("the name is empty")
	}
	for _, c := range name {
		if strings.ContainsRune(wildcards, c) {
			return fmt.Errorf("a name cannot have %q: no pattern is possible here", c)
		}
		if err := userLetter(c); err != nil {
			return err
		}
	}
	return nil
}

// readSubjects reads who of a rule.
func readSubjects(path string, who []string, groups map[string][]string, outside bool, told *mistakes) []subject {
	if len(who) == 0 {
		told.add(path, `the rule is for nobody: write who: ["*"] for everybody, or user:NAME, group:NAME, anonymous`)
	}
	var list []subject
	for i, text := range who {
		s, err := readSubject(text)
		if err != nil {
			told.add(at(path, i), "%q: %v", cut(text), err)
			continue
		}
		if _, known := groups[s.name]; s.kind == group && !known && !outside {
			told.add(at(path, i), "there is no group %q: %s", cut(s.name), knownGroups(groups))
			continue
		}
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func knownGroups(groups map[string][]string) string {
	names := slices.Sorted(maps.Keys(groups))
	switch {
	case len(names) == 0:
		return "no groups are configured"
	case len(names) > 10:
		return fmt.Sprintf("known are %s and %d more", cut(strings.Join(names[:10], ", ")), len(names)-10)
	}
	return "known are " + cut(strings.Join(names, ", "))
}

// checkGroups checks the groups, and returns the names of those that each user
// is in, sorted.
func checkGroups(groups map[string][]string, told *mistakes) map[string][]string {
	memberOf := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		path := "groups." + name
		if err := checkName(name); err != nil {
			told.add(path, "%q cannot be the name of a group: %v", cut(name), err)
		}
		for i, member := range groups[name] {
			if err := checkMember(member); err != nil {
				told.add(at(path, i), "%q cannot be a member: %v", cut(member), err)
			}
			if !slices.Contains(memberOf[member], name) {
				memberOf[member] = append(memberOf[member], name)
			}
		}
	}
	return memberOf
}

func checkMember(name string) error {
	if rest, found := strings.CutPrefix(name, "user:"); found {
		return fmt.Errorf("members are users, write only %s", cut(rest))
	}
	if strings.HasPrefix(name, "group:") {
		return errors.New("a group cannot have groups as members, name their users")
	}
	return checkName(name)
}
