package oidc

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/token"
)

// Bounds of an identity.
const (
	maxName   = 255 // bytes of the name of a user or a group
	maxGroups = 200
	maxShown  = 120 // bytes of a claim in an error
)

// mapping makes identities of claims.
type mapping struct {
	source                string // Identity.Source
	require, user, groups *access.ClaimsExpression
	keep                  []string // claims that the identity has; nil: all
}

// identify returns whom claims speak of. Its errors are for the log.
func (m *mapping) identify(claims map[string]any) (access.Identity, error) {
	taken, err := m.require.Truth(claims)
	switch {
	case err != nil:
		return access.Identity{}, fmt.Errorf("require cannot be told for the token of %s: %w", subject(claims), err)
	case !taken:
		return access.Identity{}, fmt.Errorf("require is false for the token of %s", subject(claims))
	}
	user, err := m.user.Text(claims)
	if err != nil {
		return access.Identity{}, fmt.Errorf("user cannot be told for the token of %s: %w", subject(claims), err)
	}
	if !isName(user) {
		return access.Identity{}, fmt.Errorf("user is %s for the token of %s, which cannot be a name", shown(user), subject(claims))
	}
	groups, err := m.groupsOf(claims)
	if err != nil {
		return access.Identity{}, fmt.Errorf("groups of the token of %s: %w", subject(claims), err)
	}
	kept := m.kept(claims)
	if err := token.CheckClaims(kept); err != nil {
		return access.Identity{}, fmt.Errorf("the token of %s: %w: name those that the rules ask about in claims", subject(claims), err)
	}
	return access.Identity{User: user, Groups: groups, Source: m.source, Claims: kept}, nil
}

// groupsOf returns the groups, each once.
func (m *mapping) groupsOf(claims map[string]any) ([]string, error) {
	all, err := m.groups.Texts(claims)
	if err != nil {
		return nil, err
	}
	if len(all) > maxGroups {
		return nil, fmt.Errorf("there are %d, more than %d", len(all), maxGroups)
	}
	var groups []string
	for _, g := range all {
		if !isName(g) {
			return nil, fmt.Errorf("%s cannot be a name", shown(g))
		}
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

func (m *mapping) kept(claims map[string]any) map[string]any {
	if m.keep == nil {
		return claims
	}
	kept := map[string]any{}
	for _, name := range m.keep {
		if value, ok := claims[name]; ok {
			kept[name] = value
		}
	}
	return kept
}

// isName reports whether a user or a group can be called so: in one line, of what
// prints. Subjects of tokens have colons, slashes, and even spaces.
func isName(text string) bool { return access.CheckName(text, maxName) == nil }

// subject shows in an error whom a token is about.
func subject(claims map[string]any) string {
	sub, ok := claims["sub"].(string)
	if !ok {
		return "nobody (it has no sub)"
	}
	return shown(sub)
}

func shown(text string) string {
	if len(text) > maxShown {
		text = text[:maxShown] + "..."
	}
	return strconv.QuoteToASCII(text)
}
