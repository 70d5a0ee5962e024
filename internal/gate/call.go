package gate

import (
	"context"
	"net/http"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

// Call is a request that has passed the gate.
type Call struct {
	Request *route.Request
	Who     access.Identity

	ctx     context.Context //nolint:containedctx // that of the request, which is as old; for the audit
	caller  caller
	login   *login.Desk
	policy  *access.Policy // the same from beginning to end
	at      access.Circumstances
	audit   audit.Func
	effects effects
	private bool // nobody can read along
}

// Can asks whether the caller may do s, and records the answer: nil, or an error
// of kind Denied that names the rule, or of kind Unauthorized where a better token
// would do. It is for what is about to happen: Did says that it has.
func (c *Call) Can(s access.Scope) error {
	d := c.decide(s)
	c.record(s, d)
	return c.answer(s, d)
}

// Try is Can for choosing among several things, of which none has to happen: it
// records nothing.
func (c *Call) Try(s access.Scope) error { return c.answer(s, c.decide(s)) }

// Note records the answer of Try, for those who may not wait for a log where they
// ask.
func (c *Call) Note(s access.Scope) { c.record(s, c.decide(s)) }

// May is Try for those who do not ask why.
func (c *Call) May(s access.Scope) bool { return c.decide(s).Allowed }

func (c *Call) answer(s access.Scope, d access.Decision) error {
	switch {
	case d.Allowed:
		return nil
	case d.Rule == BeyondToken:
		return c.insufficient(s, d)
	default:
		return denial(oci.Denied, s, d)
	}
}

// Sees reports whether the policy allows s, whatever the token of the caller
// grants: for the entries of a list that the token covers as a whole. It records
// nothing.
func (c *Call) Sees(s access.Scope) bool {
	return c.policy.Decide(access.Question{Who: c.Who, Scope: s, At: c.at}).Allowed
}

// BeyondToken is the rule where the policy allows what the token does not.
const BeyondToken = "the token does not grant it"

// BringsOurs reports whether r, the request of the call, has credentials that are good
// here and mean nothing elsewhere: keys, sessions, tokens of ours, ID tokens. Whoever is
// shown them could come here with them. The password of a user, and the token of a token
// server that others trust too, are no such credentials.
func (c *Call) BringsOurs(r *http.Request) bool {
	if _, shown := r.Header["Authorization"]; !shown {
		return false
	}
	user, password, ok := r.BasicAuth()
	if !ok { // a token, which has been verified
		return !c.caller.foreign
	}
	return c.Who.With != nil || c.login.Recognizes(user, password)
}

// decide is the one place where a right is decided: by the policy, below the
// ceiling of the token.
func (c *Call) decide(s access.Scope) access.Decision {
	d := c.policy.Decide(access.Question{Who: c.Who, Scope: s, At: c.at})
	if d.Allowed && !c.caller.ceiling.Covers(s) {
		return access.Decision{Rule: BeyondToken}
	}
	return d
}

// authorize asks about all that the request needs to begin.
func (c *Call) authorize() error {
	if c.Request.Kind == route.Ping {
		return c.greet()
	}
	for _, scope := range c.Request.Scopes() {
		d := c.decide(scope)
		c.record(scope, d)
		if !d.Allowed {
			return c.denied(scope, d)
		}
	}
	return nil
}

// greet answers the question by which clients find out whether they have to sign
// in, and whether their password is right: anybody may ask who has shown
// credentials.
func (c *Call) greet() error {
	switch {
	case c.caller.signed || c.policy.Unrestricted():
		return nil
	case !c.private:
		return login.ErrReadable
	default:
		return oci.ErrUnauthorized
	}
}

// denied is what the caller learns: that signing in, or a better token, may help;
// that there is no such repository, if it may not even know of it; or that it may
// not.
func (c *Call) denied(s access.Scope, d access.Decision) error {
	switch {
	case c.Who.IsAnonymous() && !c.private:
		return login.ErrReadable // no challenge: it would bring the password over the wire
	case c.caller.ceiling != nil && (c.Who.IsAnonymous() || d.Rule == BeyondToken):
		return c.insufficient(s, d)
	case c.Who.IsAnonymous():
		return denial(oci.Unauthorized, s, d)
	case s.Repo != "" && !c.Sees(access.Scope{Action: access.Pull, Repo: s.Repo}):
		return denial(oci.NameUnknown, s, d)
	default:
		return denial(oci.Denied, s, d)
	}
}

// insufficient is the refusal of a token: one that grants s would do.
func (c *Call) insufficient(s access.Scope, d access.Decision) error {
	return denial(oci.Unauthorized, s, d).Because(&insufficientScope{access.GrantFor(s)})
}

// denial words a refusal. Its detail names the rule that decided.
func denial(kind oci.Kind, s access.Scope, d access.Decision) *oci.Error {
	err := oci.Errorf(kind, "you may not %s %s: %s", s.Action, scopeName(s), d.Rule)
	switch kind {
	case oci.Unauthorized:
		err.Message = "authentication required to " + string(s.Action) + " " + scopeName(s)
	case oci.NameUnknown:
		err.Message = "repository name not known to registry, or not to you"
	default:
	}
	return err.WithDetail(map[string]string{"action": string(s.Action), "name": s.Repo, "tag": s.Tag, "rule": d.Rule})
}

func scopeName(s access.Scope) string {
	switch {
	case s.Repo == "":
		return "in this registry"
	case s.Tag == "":
		return s.Repo
	default:
		return s.Repo + ":" + s.Tag
	}
}
