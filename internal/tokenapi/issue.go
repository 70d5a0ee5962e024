package tokenapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/token"
)

// maxAccess bounds the access list of a token, in bytes of JSON. Clients send the
// token in a header, of which servers take 8 to 16 KiB.
const maxAccess = 6 << 10

// issued is a token, and what the client is told beside it.
type issued struct {
	token    string
	refresh  string // "" for none
	issuedAt time.Time
	life     time.Duration
	access   []access.Grant
	account  string // whose session it is; "" for other tokens
}

// checker tells whether a password is right.
type checker func(r *http.Request, user, password string) (access.Identity, error)

// identify returns who is asking. Passwords are shown to check.
func (a *API) identify(r *http.Request, q *request, check checker) (access.Identity, error) {
	switch {
	case q.grantType == passwordGrant:
		return check(r, q.user, q.password)
	case q.grantType == refreshGrant:
		return a.redeem(r, q)
	case len(r.Header.Values("Authorization")) > 0:
		user, password, err := login.Credentials(r)
		if err != nil {
			return access.Identity{}, err
		}
		return check(r, user, password)
	default:
		return a.Login.Present(r)
	}
}

// redeem returns who signed in when the refresh token was issued.
func (a *API) redeem(r *http.Request, q *request) (access.Identity, error) {
	switch {
	case a.Refresh == nil:
		return access.Identity{}, &oauthError{"unsupported_grant_type", badRequest("this server gives out no refresh tokens: sign in with a password")}
	case !reqctx.ClientOf(r.Context()).Private:
		return access.Identity{}, oci.Errorf(oci.Denied, "a refresh token came over a connection that others can read: use https, and have that token revoked")
	case len(q.refresh) > maxRefresh:
		return access.Identity{}, a.loginFailed(r, refresh.ErrInvalid)
	}
	who, err := a.Refresh.Redeem(r.Context(), q.refresh, q.service)
	switch {
	case errors.Is(err, refresh.ErrInvalid):
		return access.Identity{}, a.loginFailed(r, err)
	case err != nil:
		return access.Identity{}, cannotRefresh(err)
	case who.IsAnonymous(): // cannot be; a token of nobody is a mistake of ours
		return access.Identity{}, errors.New("a refresh token belongs to nobody")
	default:
		return who, nil
	}
}

// loginFailed records that somebody came with a bad refresh token.
func (a *API) loginFailed(r *http.Request, err error) error {
	a.Audit(r.Context(), audit.Record{
		RequestID: reqctx.ID(r.Context()), Client: reqctx.ClientOf(r.Context()).Addr,
		Operation: operation, Outcome: audit.LoginFailed, Rule: err.Error(),
	})
	return oci.Errorf(oci.Unauthorized, "the refresh token is not valid any more, or not for this service: log in again")
}

// errGone is for those who are remembered, and are not there any more.
func errGone(err error) error {
	return oci.Errorf(oci.Unauthorized, "there is no such user any more").Because(err)
}

func cannotRefresh(err error) error {
	return oci.Errorf(oci.Unavailable, "refresh tokens are not available now: try again later").Because(err)
}

// issue makes the token.
func (a *API) issue(r *http.Request, q *request, who access.Identity) (*issued, error) {
	client := reqctx.ClientOf(r.Context())
	if !who.IsAnonymous() && !client.Private { // a token is a secret as well
		return nil, errReadable()
	}
	now := a.Now().UTC()
	p := &petition{
		api: a, ctx: r.Context(), policy: a.Policy(), gate: a.Services[q.service].Gate, who: who,
		at: access.Circumstances{Client: client.Addr, TLS: client.TLS, Agent: r.UserAgent(), Time: now},
	}
	t := &issued{issuedAt: now.Truncate(time.Second), life: a.TTL, access: p.grants(q.scopes)}
	if text, err := json.Marshal(t.access); err != nil || len(text) > maxAccess {
		return nil, &oauthError{"invalid_scope", badRequest("the token would be too long for clients to send: ask for fewer scopes").Because(err)}
	}
	var err error
	if t.token, err = a.sign(r, q, t, who); err != nil {
		return nil, err
	}
	t.refresh, err = a.refreshToken(r, q, who)
	return t, err
}

// unfit is for those about whom their source says more than a token can carry. The
// operator is told, as nobody else can mend it.
func (a *API) unfit(r *http.Request, err error) error {
	a.Log.WarnContext(r.Context(), "somebody does not fit into a token", "id", reqctx.ID(r.Context()), "err", err)
	return oci.Errorf(oci.Denied, "no token can be made for you: what your login says about you, such as your groups, is too long; the log of the server says more").Because(err)
}

func errReadable() error {
	return oci.Errorf(oci.Denied, "this connection can be read by others, so no token is sent over it: use https")
}

func (a *API) sign(r *http.Request, q *request, t *issued, who access.Identity) (string, error) {
	if !a.Services[q.service].Gate { // others ask no rules of ours about them
		who.Claims = nil
	}
	signed, err := a.Sign(token.Claims{
		Issuer: a.Issuer, Audience: q.service, Who: who, Access: t.access,
		ID: a.NewID(), IssuedAt: t.issuedAt, Expires: t.issuedAt.Add(a.TTL),
	}, a.Services[q.service].Chain)
	switch {
	case errors.Is(err, token.ErrUnfit):
		return "", a.unfit(r, fmt.Errorf("sign a token for %q: %w", q.service, err))
	case err != nil:
		return "", fmt.Errorf("sign a token for %q: %w", q.service, err)
	}
	return signed, nil
}

// refreshToken returns the refresh token to send along: the one that the client
// came with, or a new one if it wants one and can have one.
func (a *API) refreshToken(r *http.Request, q *request, who access.Identity) (string, error) {
	if q.grantType == refreshGrant {
		return q.refresh, nil
	}
	if !q.offline || a.Refresh == nil || who.IsAnonymous() || a.withSession(r, q) {
		return "", nil
	}
	if err := a.ready(); err != nil {
		return "", err
	}
	text, err := a.Refresh.Issue(r.Context(), who, q.service, q.client)
	switch {
	case errors.Is(err, authn.ErrCannotTell): // the client goes on using the password
		return "", nil
	case errors.Is(err, authn.ErrNoMatch):
		return "", errGone(err)
	case err != nil:
		return "", cannotRefresh(err)
	}
	if err := a.identifyAgain(r, q, who); err != nil {
		return "", err
	}
	a.Audit(r.Context(), audit.Record{
		RequestID: reqctx.ID(r.Context()), Client: reqctx.ClientOf(r.Context()).Addr, Who: who,
		Operation: "token-issue", Outcome: audit.Done, Detail: "refresh token for the service " + q.service,
	})
	return text, nil
}

// identifyAgain is for what is bound to the password of this moment: was that the one
// that the client knows? What a memory of passwords says is of another moment.
func (a *API) identifyAgain(r *http.Request, q *request, who access.Identity) error {
	again, err := a.identify(r, q, a.Login.CheckAfresh)
	if err == nil && again.Key() != who.Key() {
		err = oci.Errorf(oci.Unauthorized, "the user has changed meanwhile: log in again")
	}
	return err
}
