package access

// Decision is the answer of a policy.
type Decision struct {
	Allowed bool
	Rule    string // the rule that decided, for people: the client and the audit log
}

// Policy is a set of rules; whoever no rule allows is denied. It is immutable:
// a change makes a new one.
type Policy struct {
	anyone   bool // everybody may do everything
	signedIn bool // whoever is signed in may do everything
}

// Open allows everybody everything: a registry for development.
func Open() *Policy { return &Policy{anyone: true} }

// SignedIn allows everything to whoever is signed in, and nothing to others.
func SignedIn() *Policy { return &Policy{signedIn: true} }

// Decide answers whether who may do s. It is the only place where that is
// decided, and is asked once for each effect.
func (p *Policy) Decide(who Identity, _ Scope) Decision {
	switch {
	case p.anyone:
		return Decision{Allowed: true, Rule: "the registry is open"}
	case p.signedIn && !who.IsAnonymous():
		return Decision{Allowed: true, Rule: "signed-in users may do everything"}
	case p.signedIn:
		return Decision{Rule: "only signed-in users are allowed"}
	default:
		return Decision{Rule: "no rule allows it"}
	}
}
