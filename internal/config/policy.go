package config

import (
	"slices"

	"github.com/moorgate/moorgate/internal/access"
)

// Policy compiles the policy: that of the access rules, or without them one of
// the simple ones. It is nil if there are mistakes that are more than warnings.
func (c Config) Policy() (*access.Policy, []access.Mistake) {
	switch {
	case c.Access != nil:
		rules := *c.Access
		rules.OutsideGroups = len(c.Token.Accept) > 0 || slices.ContainsFunc(c.Login, Login.namesGroups)
		return access.Compile(rules)
	case c.Open:
		return access.Open(), nil
	case len(c.Token.Accept) > 0:
		return access.Delegated(), nil // whom the token server of others lets in, we let in
	default:
		return access.SignedIn(), nil
	}
}

// policy reports the mistakes of the access rules.
func (v *validator) policy(c Config) {
	v.check(!c.Open || c.Access == nil, "open", "an open registry has no rules: remove open, or remove access")
	_, mistakes := c.Policy()
	for _, m := range mistakes {
		v.problems = append(v.problems, Problem{Path: "access." + m.Path, Message: m.Message, Warning: m.Warning})
	}
}
