// Package gate lets requests in: parse, authenticate, authorize, audit, and on
// to the next handler.
//
//	request -> route.Parse      404, 400, 405
//	        -> authenticate     401 and a challenge; 429 when too many try
//	        -> policy           403, or 404 where even pull is denied
//	        -> audit
//	        -> Handler          the registry, or a proxy to one
//
// Nothing reads the body of a request before the Handler does.
package gate

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/route"
)

// Handler answers a request that has passed the gate.
type Handler interface {
	// ServeOCI answers c, or returns an error and has written nothing but
	// headers. When it cannot go on with an answer that has begun, it panics with
	// http.ErrAbortHandler, so that the client sees it broken off.
	ServeOCI(w http.ResponseWriter, r *http.Request, c *Call) error
}

// Gate is an http.Handler for the distribution API. Its fields are set before
// its first use.
type Gate struct {
	Next   Handler
	Login  authn.Password        // nil: no passwords are taken
	Policy func() *access.Policy // the one in force; asked once for each request
	Audit  audit.Func
	Log    *slog.Logger
	Realm  string // shown by clients that ask for a password
}

// Call is a request that has passed the gate.
type Call struct {
	Request *route.Request
	Who     access.Identity

	policy  *access.Policy
	private bool // nobody can read along
}

// Can asks whether the caller may do s: nil, or an error of kind Denied that
// names the rule.
func (c *Call) Can(s access.Scope) error {
	decision := c.policy.Decide(c.Who, s)
	if decision.Allowed {
		return nil
	}
	return oci.Errorf(oci.Denied, "you may not %s %s", s.Action, scopeName(s)).
		WithDetail(map[string]string{"action": string(s.Action), "name": s.Repo, "tag": s.Tag, "rule": decision.Rule})
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

// ServeHTTP answers any request as the specification asks: also the errors.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	call, err := g.admit(w, r)
	if err != nil {
		if r.ProtoMajor == 1 && r.ContentLength != 0 {
			// Or net/http would wait for the body before it sends the answer.
			w.Header().Set("Connection", "close")
		}
		g.WriteError(w, r, err)
		return
	}
	if err := g.Next.ServeOCI(w, r, call); err != nil {
		g.WriteError(w, r, err)
	}
}

// admit decides whether a request may pass. It does not read the body.
func (g *Gate) admit(w http.ResponseWriter, r *http.Request) (*Call, error) {
	request, err := route.Parse(r.Method, r.URL)
	if err != nil {
		return nil, err
	}
	annotate(w, "kind", request.Kind.String())
	who, err := g.authenticate(r)
	if err != nil {
		return nil, err
	}
	if !who.IsAnonymous() {
		annotate(w, "user", who.User)
	}
	call := &Call{Request: request, Who: who, policy: g.Policy(), private: reqctx.ClientOf(r.Context()).Private}
	return call, g.authorize(r, call)
}

// authorize asks the policy about all that the request needs to begin.
func (g *Gate) authorize(r *http.Request, c *Call) error {
	for _, scope := range c.Request.Scopes() {
		decision := c.policy.Decide(c.Who, scope)
		g.record(r, c, scope, decision)
		if !decision.Allowed {
			return c.denied(scope)
		}
	}
	return nil
}

// denied is what the caller learns: that signing in may help; that there is no
// such repository, if it may not even know of it; or that it may not.
func (c *Call) denied(scope access.Scope) error {
	if c.Who.IsAnonymous() && !c.private {
		return errReadable // no challenge: it would bring the password over the wire
	}
	if c.Who.IsAnonymous() {
		return oci.ErrUnauthorized
	}
	if scope.Repo != "" && scope.Action != access.Pull && c.Can(access.Scope{Action: access.Pull, Repo: scope.Repo}) != nil ||
		scope.Action == access.Pull {
		return oci.ErrNameUnknown.WithDetail(map[string]string{"name": scope.Repo})
	}
	return c.Can(scope)
}

func (g *Gate) record(r *http.Request, c *Call, scope access.Scope, d access.Decision) {
	outcome := audit.Denied
	if d.Allowed {
		outcome = audit.Allowed
	}
	g.Audit(r.Context(), audit.Record{
		RequestID: reqctx.ID(r.Context()), Client: reqctx.ClientOf(r.Context()).Addr,
		Who: c.Who, Scope: scope, Operation: c.Request.Kind.String(), Outcome: outcome, Rule: d.Rule,
	})
}

// Annotator is what the response writer of an access log offers: a note for the
// line of this request.
type Annotator interface {
	Annotate(key, value string)
}

// annotate notes something for the access log, if there is one.
func annotate(w http.ResponseWriter, key, value string) {
	for {
		switch t := w.(type) {
		case Annotator:
			t.Annotate(key, value)
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return
		}
	}
}

// allowed returns the methods to name in an Allow header, or nil.
func allowed(err error) []string {
	var m *route.MethodError
	if errors.As(err, &m) {
		return m.Allow
	}
	return nil
}
