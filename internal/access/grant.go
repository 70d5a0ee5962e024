package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/moorgate/moorgate/internal/oci"
)

// Grant is what a token allows on one resource, in the words of the Docker
// token specification ("Token Scope Documentation"): type "repository" with a
// repository name, or type "registry" with the name "catalog". Actions are
// "pull", "push" and "delete"; "*" is all of them.
type Grant struct {
	Type    string   `json:"type"`
	Class   string   `json:"class,omitempty"` // "" or such as "plugin"; deprecated
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// Types of resources in a Grant.
const (
	RepositoryType = "repository"
	RegistryType   = "registry"
	CatalogName    = "catalog" // the one resource of RegistryType
)

// String is the grant as clients write it: "repository:team/app:pull,push".
func (g Grant) String() string {
	kind := g.Type
	if g.Class != "" {
		kind += "(" + g.Class + ")"
	}
	return kind + ":" + g.Name + ":" + strings.Join(g.Actions, ",")
}

// Bounds of the scope parameter of a token request.
const (
	maxScope  = 8 << 10 // bytes
	maxGrants = 100
)

var (
	grantType   = regexp.MustCompile(`^([a-z0-9]+(?:[._-][a-z0-9]+)*)(?:\(([a-z0-9]+)\))?$`)
	grantAction = regexp.MustCompile(`^[a-z*]+$`)
)

// ParseGrants reads the scope parameter of the Docker token protocol ("Token
// Scope Documentation"): grants as Grant.String writes them, with spaces between
// them. A name may contain colons, as of a host and its port, and that of a
// repository is valid. Grants for the same resource become one; actions are
// sorted. Types that nobody knows are kept; nothing will be granted of them.
func ParseGrants(scope string) ([]Grant, error) {
	if len(scope) > maxScope {
		return nil, fmt.Errorf("the scope has %d characters, at most %d are allowed", len(scope), maxScope)
	}
	words := strings.FieldsFunc(scope, func(c rune) bool { return c == ' ' })
	if len(words) > maxGrants {
		return nil, fmt.Errorf("the scope has %d parts, at most %d are allowed", len(words), maxGrants)
	}
	var grants []Grant
	for _, word := range words {
		g, err := parseGrant(word)
		if err != nil {
			return nil, fmt.Errorf("scope %q: %w", cut(word), err)
		}
		same := func(o Grant) bool { return o.Type == g.Type && o.Class == g.Class && o.Name == g.Name }
		if i := slices.IndexFunc(grants, same); i >= 0 {
			grants[i].Actions = sorted(append(grants[i].Actions, g.Actions...))
			continue
		}
		grants = append(grants, g)
	}
	return grants, nil
}

func parseGrant(word string) (Grant, error) {
	first, last := strings.IndexByte(word, ':'), strings.LastIndexByte(word, ':')
	if first == last {
		return Grant{}, errors.New("it must be type:name:actions")
	}
	kind := grantType.FindStringSubmatch(word[:first])
	if kind == nil {
		return Grant{}, errors.New("its type is not valid")
	}
	g := Grant{Type: kind[1], Class: kind[2], Name: word[first+1 : last], Actions: strings.Split(word[last+1:], ",")}
	for _, action := range g.Actions {
		if !grantAction.MatchString(action) {
			return Grant{}, fmt.Errorf("action %q is not valid", cut(action))
		}
	}
	g.Actions = sorted(g.Actions)
	return g, g.checkName()
}

func (g Grant) checkName() error {
	if g.Type == RepositoryType {
		return oci.CheckRepository(g.Name)
	}
	if g.Name == "" {
		return errors.New("its name is empty")
	}
	return nil
}

// sorted returns each of names once, in order.
func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// Ceiling is all that a token grants. Nobody may do more with it, whatever the
// policy says. Nil is the ceiling of those who came without a token: none.
type Ceiling []Grant

// NoRights returns the ceiling of a token that grants nothing.
func NoRights() Ceiling { return Ceiling{} }

// Covers reports whether the ceiling leaves room for s: push for overwriting
// too, pull for listing too; the catalog for listing the registry as a whole.
func (c Ceiling) Covers(s Scope) bool {
	if c == nil {
		return true
	}
	need := GrantFor(s)
	for _, g := range c {
		if g.Type == need.Type && g.Name == need.Name && (slices.Contains(g.Actions, need.Actions[0]) || slices.Contains(g.Actions, "*")) {
			return true
		}
	}
	return false
}

// GrantFor returns the one grant that s needs. What no token can grant, such as
// administering the registry, needs a grant that none has.
func GrantFor(s Scope) Grant {
	if s.Repo == "" {
		if s.Action == List {
			return Grant{Type: RegistryType, Name: CatalogName, Actions: []string{"*"}}
		}
		return Grant{Type: RegistryType, Actions: []string{string(s.Action)}}
	}
	return Grant{Type: RepositoryType, Name: s.Repo, Actions: []string{tokenAction(s.Action)}}
}

// tokenAction is the action of a token that an action of ours needs.
func tokenAction(a Action) string {
	switch a {
	case Pull, List:
		return "pull"
	case Push, Overwrite:
		return "push"
	case Delete:
		return "delete"
	default:
		return string(a) // only "*" covers it
	}
}
