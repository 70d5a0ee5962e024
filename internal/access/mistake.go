package access

import (
	"fmt"
	"strings"
	"unicode"
)

// Mistake is something wrong with Rules.
type Mistake struct {
	Path    string // where, such as "rules[2].repos[0]" or "groups.platform"
	Message string // what is wrong, and what to do
	Warning bool   // the policy works, but not as its author can mean it: a rule that never decides
}

// mistakes collects what is wrong, in the order of the rules.
type mistakes struct {
	list   []Mistake
	errors int // those that are no warnings
}

func (m *mistakes) add(path, format string, args ...any) {
	m.list = append(m.list, Mistake{Path: path, Message: fmt.Sprintf(format, args...)})
	m.errors++
}

func (m *mistakes) warn(path, format string, args ...any) {
	m.list = append(m.list, Mistake{Path: path, Message: fmt.Sprintf(format, args...), Warning: true})
}

// cut shortens text that is quoted in a message.
func cut(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// oneLine puts text on one line, without anything that does not print: it goes
// into headers of answers, logs and terminals.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s)
}
