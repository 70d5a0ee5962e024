// Package tokenapi is the token endpoint: it gives out tokens of the Docker token
// specification, and publishes the keys that they are verified with.
//
// The protocol is described in "Token Authentication Specification" (GET with
// Basic, or without for an anonymous token) and "OAuth2 Token Authentication"
// (POST) of the distribution project. A token grants what was asked for as far
// as the policy allows it, which may be nothing: that is no error.
package tokenapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/session"
	"github.com/moorgate/moorgate/internal/token"
	"github.com/moorgate/moorgate/internal/wire"
)

// API is the token endpoint. Its fields are set before its first use.
type API struct {
	Login  *login.Desk
	Policy func() *access.Policy // the one in force; asked once for each request

	// Some reports whether the policy may allow what is asked for some tag, where
	// it does not for the repository as a whole. It is asked for services with a
	// gate of ours. Nil: it never does.
	Some func(*access.Policy, access.Question) bool

	// Sign returns the signed token; with chain it carries x5c.
	Sign     func(c token.Claims, chain bool) (string, error)
	Refresh  Refresh  // nil: no refresh tokens
	Sessions Sessions // nil: no sessions

	// Recognizes reports whether a password is a token of ours, such as a session,
	// be there new ones or not: nothing is given for it that would outlive it.
	Recognizes func(user, password string) bool

	// Endless reports whether a text is good here and cannot be ended by who has
	// it: a key, or a signed token.
	Endless func(text string) bool

	// Ready returns an error while nothing that lasts may be made or ended, because
	// it could not be recorded. Nil: it always can.
	Ready func() error

	Issuer   string             // iss; also the realm in which passwords are asked for
	Services map[string]Service // by name: aud

	// TTL is how long a token lives. Clients take it for at least 60 seconds,
	// whatever they are told; less is for tests.
	TTL   time.Duration
	Audit audit.Func
	Log   *slog.Logger
	Now   func() time.Time
	NewID func() string // jti
}

// Service is a registry that trusts our tokens.
type Service struct {
	Gate  bool // a gate of ours asks the policy again, tag by tag: the token is only a ceiling
	Chain bool // tokens carry the certificate of their key (x5c)
}

// Refresh keeps refresh tokens. Package refresh says more.
type Refresh interface {
	// Issue returns a new refresh token for a user who has just signed in. It is
	// bound to the password that they have now.
	//
	// Errors: authn.ErrCannotTell: there cannot be one for this user;
	// authn.ErrNoMatch: the user is gone.
	Issue(ctx context.Context, who access.Identity, service, client string) (string, error)

	// Redeem returns the present identity of whom the token was issued to.
	//
	// Errors: refresh.ErrInvalid; others say nothing about the token.
	Redeem(ctx context.Context, token, service string) (access.Identity, error)

	// End ends a token at once, and returns which one that was. One that is not
	// valid has ended already: then ok is false.
	End(ctx context.Context, token string) (ended refresh.Entry, ok bool, err error)
}

// Sessions makes sessions. Package session says more.
type Sessions interface {
	// Issue returns a session of a user who has just signed in. It is bound to the
	// password that they have now.
	//
	// Errors: authn.ErrExpired: what they signed in with has ended meanwhile;
	// authn.ErrNoMatch: the user is gone; session.ErrUnavailable.
	Issue(ctx context.Context, who access.Identity) (session.Session, error)
}

// ServeHTTP answers a request for a token. HEAD is refused: no client asks so,
// and a token that nobody can read need not be made.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	q, err := a.parse(w, r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	who, err := a.identify(r, q, a.Login.Check)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if !who.IsAnonymous() {
		wire.Annotate(w, "user", who.User)
	}
	issue := a.issue
	if q.service == session.Audience {
		issue = a.startSession
	}
	t, err := issue(r, q, who)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	a.reply(w, r, t)
}

// noStore keeps an answer out of caches (RFC 6749, section 5.1).
func noStore(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// parse reads a request by its method.
func (a *API) parse(w http.ResponseWriter, r *http.Request) (*request, error) {
	switch r.Method {
	case http.MethodGet:
		return a.parseGet(r)
	case http.MethodPost:
		return a.parsePost(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		return nil, oci.Errorf(oci.Unsupported, "tokens are asked for with GET or POST")
	}
}
