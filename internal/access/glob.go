package access

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/moorgate/moorgate/internal/oci"
)

// callerVar stands for the name of the caller in globs of repositories. The name
// is taken literally, whatever characters it has.
const callerVar = "${user}"

// kind says how a component of a glob is matched.
type kind int

const (
	literal kind = iota // the same text
	caller              // ${user}
	affixed             // ${user} between literal texts
	single              // *: any component
	deep                // **: any number of components, zero too
	pattern             // anything else, left to doublestar
)

// component is what a glob has between two slashes.
type component struct {
	kind          kind
	text          string // as written
	before, after string // of an affixed one
}

// glob is a pattern for repository names, component by component.
type glob struct {
	text  string
	parts []component
}

// readGlob reads a glob of repositories.
func readGlob(text string) (glob, error) {
	if err := checkGlob(text); err != nil {
		return glob{}, err
	}
	g := glob{text: text}
	for part := range strings.SplitSeq(text, "/") {
		c := readComponent(part)
		if c.kind == deep && len(g.parts) > 0 && g.parts[len(g.parts)-1].kind == deep {
			continue // **/** is **
		}
		g.parts = append(g.parts, c)
	}
	return g, nil
}

func readComponent(text string) component {
	c := component{kind: pattern, text: text}
	before, after, found := strings.Cut(text, callerVar)
	switch {
	case text == "**":
		c.kind = deep
	case text == "*":
		c.kind = single
	case text == callerVar:
		c.kind = caller
	case found && !strings.ContainsAny(before+after, wildcards):
		c.kind, c.before, c.after = affixed, before, after
	case !strings.ContainsAny(text, wildcards):
		c.kind = literal
	}
	return c
}

// needsCaller reports whether only those match whose name can be put in.
func (g glob) needsCaller() bool { return strings.Contains(g.text, callerVar) }

// matches reports whether one component of a name matches. own is the name of
// the caller, "" if it cannot be part of a repository name: what needs it then
// matches nothing.
func (c component) matches(s, own string) bool {
	switch c.kind {
	case literal:
		return s == c.text
	case single, deep:
		return true
	case caller:
		return own != "" && s == own
	case affixed:
		return own != "" && len(s) == len(c.before)+len(own)+len(c.after) &&
			strings.HasPrefix(s, c.before) && strings.HasSuffix(s, c.after) &&
			s[len(c.before):len(c.before)+len(own)] == own
	}
	text := c.text
	if strings.Contains(text, callerVar) {
		if own == "" {
			return false
		}
		// Literal: none of the characters of a repository name means anything
		// in a pattern outside of [], where ${user} is refused.
		text = strings.ReplaceAll(text, callerVar, own)
	}
	return doublestar.MatchUnvalidated(text, s)
}

// matchParts reports whether the components of a glob match all of path. "" is
// no component. Only the last ** is ever tried anew: that is enough, and takes
// no more than len(parts) times the components of path.
func matchParts(parts []component, path, own string) bool {
	p, retry, retryPath := 0, -1, ""
	for path != "" {
		if p < len(parts) && parts[p].kind == deep {
			retry, retryPath = p, path
			p++
			continue
		}
		head, rest, _ := strings.Cut(path, "/")
		if p < len(parts) && parts[p].matches(head, own) {
			p, path = p+1, rest
			continue
		}
		if retry < 0 {
			return false
		}
		_, retryPath, _ = strings.Cut(retryPath, "/")
		p, path = retry+1, retryPath
	}
	for p < len(parts) && parts[p].kind == deep {
		p++
	}
	return p == len(parts)
}

// ownName returns the name of a user where it can stand for ${user}: if it is one
// component of a repository name. "" otherwise: nothing matches.
func ownName(user string) string {
	if isComponent(user) && len(user) <= oci.MaxNameLength {
		return user
	}
	return ""
}

// isRepository is oci.CheckRepository without an error to allocate.
func isRepository(name string) bool {
	if len(name) > oci.MaxNameLength {
		return false
	}
	for {
		head, rest, more := strings.Cut(name, "/")
		if !isComponent(head) {
			return false
		}
		if !more {
			return true
		}
		name = rest
	}
}

// isComponent reports whether s is letters and digits, with one of ".", "_", "__"
// or any number of "-" between them.
func isComponent(s string) bool {
	run := 0 // of separators before s[i]
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			run = 0
			continue
		case c != '.' && c != '_' && c != '-', i == 0:
			return false
		case run > 0 && (s[i-1] != c || c == '.' || c == '_' && run > 1):
			return false
		}
		run++
	}
	return s != "" && run == 0
}
