package access

// Decision is the answer of a policy.
type Decision struct {
	Allowed bool
	Rule    string // the rule that decided, for people: the client and the audit log
}

// Reasons of denials that no rule made: to sign in, as somebody else, may help.
const (
	NoRule     = "no rule allows it"
	OnlyUsers  = "only signed-in users are allowed"
	OnlyTokens = "only holders of a token are allowed"
)

// Policy is a set of rules; whoever no rule allows is denied. It is immutable:
// a change makes a new one. The zero value denies everything. All may use it at
// once.
type Policy struct {
	anyone    bool   // everybody may do everything
	signedIn  bool   // whoever is signed in may do everything
	delegated bool   // whoever has a token may do what it says
	rules     *index // nil has none
}

// Open allows everybody everything: a registry for development.
func Open() *Policy { return &Policy{anyone: true} }

// SignedIn allows everything to whoever is signed in, and nothing to others.
func SignedIn() *Policy { return &Policy{signedIn: true} }

// Delegated leaves it to a token server: whoever somebody vouches for, even
// without a user name, may do everything within the Ceiling of their token.
func Delegated() *Policy { return &Policy{delegated: true} }

// Decide answers whether what is asked may be done. It is the only place where
// that is decided, and is asked once for each effect.
//
// Among several rules that decide, the first denial is the one reported, else
// the first allowance. Who comes with a key may what its owner may, as far as the
// key allows it too.
func (p *Policy) Decide(q Question) Decision {
	d := p.decide(&q)
	if q.Who.With != nil {
		return q.Who.With.narrow(&q, d)
	}
	return d
}

// decide is Decide for the owner of a key. What no rule denies to a robot is
// allowed: its key says the rest. Where there is no rule at all, everything is denied
// to robots too.
func (p *Policy) decide(q *Question) Decision {
	switch {
	case p.anyone:
		return Decision{Allowed: true, Rule: "the registry is open"}
	case p.signedIn && !q.Who.IsAnonymous():
		return Decision{Allowed: true, Rule: "signed-in users may do everything"}
	case p.signedIn:
		return Decision{Rule: OnlyUsers}
	case p.delegated && q.Who.Source != "":
		return Decision{Allowed: true, Rule: "the token server granted it"}
	case p.delegated:
		return Decision{Rule: OnlyTokens}
	case p.rules == nil:
		return Decision{Rule: NoRule}
	case q.Who.isRobot() && p.rules.any:
		return p.rules.decideRobot(q)
	}
	return p.rules.decide(q)
}

// Unrestricted reports whether everybody may do everything, so that nobody need
// sign in.
func (p *Policy) Unrestricted() bool { return p.anyone }

// AnonymousMay reports whether there is anything that somebody who is not signed
// in may do. Conditions are taken for fulfilled, and no denial is looked at.
func (p *Policy) AnonymousMay() bool {
	return p.anyone || p.rules != nil && (p.rules.everybody.forAnonymous || p.rules.nobody.forAnonymous)
}
