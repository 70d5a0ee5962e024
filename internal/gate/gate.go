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
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/route"
	"github.com/moorgate/moorgate/internal/wire"
)

// Handler answers a request that has passed the gate.
type Handler interface {
	// ServeOCI answers c, or returns an error and has written nothing but
	// headers. Before it answers that something was changed, it calls c.Did. When it cannot go on with an answer that has begun, it panics with
	// http.ErrAbortHandler, so that the client sees it broken off.
	ServeOCI(w http.ResponseWriter, r *http.Request, c *Call) error
}

// Sessions tells about upload sessions, so that one may be finished with the
// right that it was started with.
type Sessions interface {
	// SessionStart returns when the session was started, if it is one of owner
	// (access.Identity.Key) in repo.
	//
	// Errors: BlobUploadUnknown.
	SessionStart(ctx context.Context, repo, id, owner string) (time.Time, error)
}

// TokenServer is where a client gets a token (Docker token specification).
type TokenServer struct {
	Realm   string // its URL
	Service string
}

// Gate is an http.Handler for the distribution API. Its fields are set before
// its first use.
type Gate struct {
	Next     Handler
	Login    *login.Desk
	Tokens   authn.Bearer          // nil: no tokens are taken
	Sessions Sessions              // nil: no upload outlives its token
	Policy   func() *access.Policy // the one in force; asked once for each request
	Audit    audit.Func
	Log      *slog.Logger
	Now      func() time.Time
	Realm    string // shown by clients that ask for a password

	// TokenServer says where a client is sent for a token; nil, or false: it is
	// asked for a password.
	TokenServer func(*http.Request) (TokenServer, bool)
}

// ServeHTTP answers any request as the specification asks: also the errors.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	request, err := route.Parse(r.Method, r.URL)
	if err != nil {
		g.WriteError(w, r, nil, err)
		return
	}
	call, err := g.admit(w, r, request)
	if err != nil {
		g.WriteError(w, r, request, err)
		return
	}
	if err := g.pass(w, r, call); err != nil {
		g.WriteError(w, r, request, err)
	}
}

// pass lets a call in. However that ends, also by a panic, it is on record.
func (g *Gate) pass(w http.ResponseWriter, r *http.Request, call *Call) (err error) {
	defer func() { call.ended(err) }()
	return g.Next.ServeOCI(w, r, call)
}

// WriteError answers with an error, and with what belongs to it: where to sign
// in, or which methods there are. request is nil if it could not be parsed.
func (g *Gate) WriteError(w http.ResponseWriter, r *http.Request, request *route.Request, err error) {
	var method *route.MethodError
	switch {
	case errors.Is(err, oci.ErrUnauthorized):
		w.Header().Set("WWW-Authenticate", g.challenge(r, request, err))
	case errors.As(err, &method):
		w.Header().Set("Allow", strings.Join(method.Allow, ", "))
	}
	wire.Error(w, r, g.Log, err)
}

// admit decides whether a request may pass. It does not read the body.
func (g *Gate) admit(w http.ResponseWriter, r *http.Request, request *route.Request) (*Call, error) {
	wire.Annotate(w, "kind", request.Kind.String())
	caller, err := g.authenticate(r, request)
	if err != nil {
		return nil, err
	}
	if !caller.who.IsAnonymous() {
		wire.Annotate(w, "user", caller.who.User)
	}
	client := reqctx.ClientOf(r.Context())
	call := &Call{
		Request: request, Who: caller.who,
		ctx: r.Context(), caller: caller, login: g.Login, policy: g.Policy(), audit: g.Audit, private: client.Private,
		at: access.Circumstances{Client: client.Addr, TLS: client.TLS, Agent: r.UserAgent(), Time: g.Now()},
	}
	return call, call.authorize()
}
