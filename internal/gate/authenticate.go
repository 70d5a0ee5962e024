package gate

import (
	"errors"
	"net/http"
	"strings"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/route"
)

// caller is who sent a request, and what with.
type caller struct {
	who     access.Identity
	ceiling access.Ceiling // of the token; nil without one
	signed  bool           // credentials were shown, if only a token for nobody
	foreign bool           // the token is of others, who may see it
}

// errInvalidToken is why a token is refused (RFC 6750, section 3.1).
var errInvalidToken = errors.New("invalid_token")

// insufficientScope is the other reason: a token lacks a grant.
type insufficientScope struct{ lacks access.Grant }

func (e *insufficientScope) Error() string { return "insufficient_scope" }

// authenticate returns who is asking. A request without credentials is that of whom
// its arrival vouches for, else the anonymous identity's; one with wrong ones is
// nobody's.
func (g *Gate) authenticate(r *http.Request, request *route.Request) (caller, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		who, err := g.Login.Present(r)
		return caller{who: who, signed: err == nil && !who.IsAnonymous()}, err
	}
	if token, ok := bearerToken(values); ok && g.Tokens != nil {
		return g.withToken(r, request, token)
	}
	who, err := g.Login.Basic(r)
	if err != nil {
		return caller{}, err
	}
	return caller{who: who, signed: !who.IsAnonymous()}, nil
}

// bearerToken reads the one Authorization header (RFC 6750, section 2.1).
func bearerToken(values []string) (string, bool) {
	scheme, token, ok := strings.Cut(values[0], " ")
	return strings.TrimLeft(token, " "), ok && len(values) == 1 && strings.EqualFold(scheme, "Bearer")
}

func (g *Gate) withToken(r *http.Request, request *route.Request, text string) (caller, error) {
	if !reqctx.ClientOf(r.Context()).Private {
		return caller{}, login.ErrReadable
	}
	token, err := g.Tokens.VerifyToken(r.Context(), text)
	switch {
	case err == nil, errors.Is(err, authn.ErrExpired) && g.mayFinish(r, request, token):
		return caller{who: token.Who, ceiling: token.Ceiling, signed: true, foreign: token.Foreign}, nil
	case errors.Is(err, authn.ErrExpired): // clients come with old tokens all the time
		return caller{}, oci.Errorf(oci.Unauthorized, "the token has expired").Because(errInvalidToken)
	case errors.Is(err, authn.ErrNoMatch):
		g.Audit(r.Context(), audit.Record{
			RequestID: reqctx.ID(r.Context()), Client: reqctx.ClientOf(r.Context()).Addr,
			Operation: request.Kind.String(), Outcome: audit.LoginFailed, Rule: err.Error(),
		})
		return caller{}, oci.Errorf(oci.Unauthorized, "the token is not valid here").Because(errInvalidToken)
	default:
		return caller{}, oci.Errorf(oci.Unavailable, "the token cannot be verified now: try again later").Because(err)
	}
}

// mayFinish reports whether a token that was good once is good enough: for an
// upload session of its holder that began while it was. So a push may take longer
// than a token lives. The policy is asked as ever.
func (g *Gate) mayFinish(r *http.Request, request *route.Request, token authn.Token) bool {
	switch request.Kind {
	case route.UploadAppend, route.UploadFinish, route.UploadStatus, route.UploadCancel:
	default:
		return false
	}
	if g.Sessions == nil {
		return false
	}
	started, err := g.Sessions.SessionStart(r.Context(), request.Repo, request.UploadID, token.Who.Key())
	return err == nil && started.Before(token.Expires)
}
