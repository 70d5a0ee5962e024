package tokenapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/session"
	"github.com/moorgate/moorgate/internal/token"
	"github.com/moorgate/moorgate/internal/wire"
)

// What sessions and revocations are recorded as.
const (
	sessionOperation = "session"
	revokeOperation  = "token-revoke"
)

// checkSession checks a request for a session.
func (a *API) checkSession(q *request, p url.Values) error {
	switch {
	case a.Sessions == nil:
		return badRequest("this server gives out no sessions (token.session_ttl)")
	case q.grantType == "":
		return badRequest("a session is asked for with POST")
	case p.Has("scope"):
		return &oauthError{"invalid_scope", badRequest("a session has no scope: leave it out")}
	case a.Recognizes(q.user, q.password):
		return badRequest("a session is made from a password, a key or a refresh token, not from a token: sign in again")
	}
	return nil
}

// withSession reports whether the client signs in with a session: then it gets
// nothing that would outlive that.
func (a *API) withSession(r *http.Request, q *request) bool {
	user, password := q.user, q.password
	if q.grantType == "" {
		user, password, _ = r.BasicAuth()
	}
	return a.Recognizes(user, password)
}

// startSession makes a session.
func (a *API) startSession(r *http.Request, q *request, who access.Identity) (*issued, error) {
	client := reqctx.ClientOf(r.Context())
	switch {
	case who.IsAnonymous():
		return nil, oci.Errorf(oci.Unauthorized, "a session is for a user: sign in")
	case !client.Private:
		return nil, errReadable()
	}
	if err := a.ready(); err != nil {
		return nil, err
	}
	made, err := a.Sessions.Issue(r.Context(), who)
	switch {
	case errors.Is(err, authn.ErrExpired):
		return nil, oci.Errorf(oci.Unauthorized, "what you signed in with has expired").Because(err)
	case errors.Is(err, authn.ErrNoMatch):
		return nil, errGone(err)
	case errors.Is(err, token.ErrUnfit):
		return nil, a.unfit(r, err)
	case errors.Is(err, session.ErrUnavailable):
		return nil, oci.Errorf(oci.Unavailable, "sessions are not available now: try again later").Because(err)
	case err != nil:
		return nil, fmt.Errorf("start a session: %w", err)
	}
	now := a.Now().UTC()
	t := &issued{token: made.Token, issuedAt: now.Truncate(time.Second), account: session.Account(who.User)}
	t.life = made.Expires.Sub(t.issuedAt)
	if err := a.identifyAgain(r, q, who); err != nil {
		return nil, err
	}
	if t.refresh, err = a.refreshToken(r, q, who); err != nil {
		return nil, err
	}
	a.Audit(r.Context(), audit.Record{
		RequestID: reqctx.ID(r.Context()), Client: client.Addr, Who: who,
		Operation: sessionOperation, Outcome: audit.Done, Detail: "a session until " + made.Expires.UTC().Format(time.RFC3339),
	})
	return t, nil
}

// Revoke ends the refresh token that a client does not need any more (RFC 7009). Who
// has it may end it.
func (a *API) Revoke(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		a.refuse(w, r, oci.Errorf(oci.Unsupported, "tokens are revoked with POST"))
		return
	}
	if err := a.revoke(w, r); err != nil {
		a.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK) // for a token that is not valid too: section 2.2
}

func (a *API) revoke(w http.ResponseWriter, r *http.Request) error {
	p, err := parseForm(w, r)
	if err != nil {
		return err
	}
	text := p.Get("token")
	client := reqctx.ClientOf(r.Context())
	switch {
	case text == "":
		return badRequest("token is missing")
	case !client.Private:
		return oci.Errorf(oci.Denied, "a refresh token came over a connection that others can read: use https")
	case a.Endless(text): // RFC 7009, section 2.2.1
		return &oauthError{"unsupported_token_type", badRequest("only refresh tokens are revoked here: a session ends by itself, and a key by \"moorgate key revoke\"")}
	case a.Refresh == nil || len(text) > maxRefresh:
		return nil // it is not valid, and so has ended
	}
	if err := a.ready(); err != nil {
		return err
	}
	ended, ok, err := a.Refresh.End(r.Context(), text)
	if err != nil {
		return cannotRefresh(err)
	}
	if ok {
		a.Audit(r.Context(), audit.Record{
			RequestID: reqctx.ID(r.Context()), Client: client.Addr, Who: access.Identity{User: ended.User, Source: ended.Source},
			Operation: revokeOperation, Outcome: audit.Done, Detail: "refresh token " + ended.ID,
		})
	}
	return nil
}

// ready returns an error while what lasts cannot be recorded.
func (a *API) ready() error {
	if a.Ready == nil {
		return nil
	}
	if err := a.Ready(); err != nil {
		return oci.Errorf(oci.Unavailable, "this cannot be recorded now, so it cannot be done: try again later, or tell the operator").Because(err)
	}
	return nil
}

// about is what programs of ours learn from a server before they send it a secret.
type about struct {
	TokenPath  string `json:"token_path"`
	RevokePath string `json:"revoke_path"`
	Service    string `json:"session_service"`
	Seconds    int64  `json:"session_seconds"` // 0: no sessions are given out
}

// About returns the handler that says, to whoever asks, that this is a Moorgate and
// where it gives out sessions. sessionTTL is how long they live; 0 if there are none.
func About(tokenPath, revokePath string, sessionTTL time.Duration, log *slog.Logger) http.Handler {
	body := about{TokenPath: tokenPath, RevokePath: revokePath, Service: session.Audience, Seconds: int64(sessionTTL / time.Second)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			wire.Error(w, r, log, oci.Errorf(oci.Unsupported, "this can only be read"))
			return
		}
		_ = wire.JSON(w, http.StatusOK, wire.JSONType, body) // strings and numbers are JSON
	})
}
