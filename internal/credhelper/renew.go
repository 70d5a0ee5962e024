package credhelper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/deviceflow"
	"github.com/moorgate/moorgate/internal/keyring"
)

// current returns what to send to a registry now: what is remembered if half of its
// life is left, as a push takes its time, else something new.
//
// Errors: keyring.ErrNotFound; others are for the user.
func (h *Helper) current(ctx context.Context, host client.Host) (keyring.Session, error) {
	c, err := h.Keyring.Read(string(host))
	if err != nil {
		return keyring.Session{}, err
	}
	if c.Identity != "" { // docker trades it for tokens itself
		return keyring.Session{User: identityUser, Secret: c.Identity}, nil
	}
	if s := c.Session; s != nil && h.fresh(*s) {
		return *s, nil
	}
	return h.renew(ctx, host)
}

// fresh reports whether half of the life of a session is left. One from the future is
// not: the clock was set back, and nobody knows.
func (h *Helper) fresh(s keyring.Session) bool {
	now := h.Now()
	return !now.Before(s.Issued) && now.Before(s.Issued.Add(s.Expires.Sub(s.Issued)/2))
}

// renew gets something new and keeps it. Of several processes one asks the server,
// and the others find what it got: a refresh token of an identity provider may be good
// for one use. They find too that the server is away, without waiting for it in turn.
func (h *Helper) renew(ctx context.Context, host client.Host) (s keyring.Session, err error) {
	began := h.Now()
	unlock, err := h.Keyring.Lock(ctx, string(host))
	if err != nil {
		return keyring.Session{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	c, err := h.Keyring.Read(string(host))
	if err != nil {
		return keyring.Session{}, err
	}
	old := c.Session
	if old != nil && (h.fresh(*old) || h.good(*old) && !c.Unreachable.Before(began)) {
		return *old, nil
	}
	exchanged := h.exchange(ctx, host, &c)
	if c.Unreachable = (time.Time{}); errors.Is(exchanged, client.ErrUnreachable) && !isInterrupted(ctx) {
		c.Unreachable = h.Now()
	}
	kept := h.Keyring.Write(string(host), c) // also after an error: a provider may have given a new refresh token
	switch {
	case exchanged != nil && kept != nil:
		return h.fallBack(ctx, old, fmt.Errorf("%w; and cannot keep the login: %w", exchanged, kept))
	case exchanged != nil:
		return h.fallBack(ctx, old, exchanged)
	case kept != nil:
		return keyring.Session{}, fmt.Errorf("cannot keep the login: %w", kept)
	}
	return *c.Session, nil
}

// fallBack returns the old session, if there is one that has not ended, where no new one
// is to be had: the registry may be there all the same. A fault that does not pass by
// itself is told aside. Where the login is refused the session is no good either.
func (h *Helper) fallBack(ctx context.Context, old *keyring.Session, err error) (keyring.Session, error) {
	refused := errors.Is(err, client.ErrRefused) || errors.Is(err, deviceflow.ErrRefused)
	if old == nil || !h.good(*old) || refused || isInterrupted(ctx) {
		return keyring.Session{}, err
	}
	if !errors.Is(err, client.ErrUnreachable) {
		fmt.Fprintf(h.Aside, "%s: %v\n", Name, err)
	}
	return *old, nil
}

// isInterrupted reports whether the user does not want to wait any more.
func isInterrupted(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// good reports whether a session has not ended yet.
func (h *Helper) good(s keyring.Session) bool {
	now := h.Now()
	return !now.Before(s.Issued) && now.Before(s.Expires)
}

// exchange gets a new session for what the user has signed in with.
func (h *Helper) exchange(ctx context.Context, host client.Host, c *keyring.Credential) error {
	if c.OIDC != nil {
		return h.exchangeOIDC(ctx, host, c)
	}
	asks, err := h.client(host, c.CA, c.TokenURL)
	if err != nil {
		return err
	}
	server := client.Server{Token: c.TokenURL, Revoke: c.RevokeURL}
	var got client.Session
	if c.Refresh != "" {
		got, err = asks.Refresh(ctx, server, c.Refresh)
	} else {
		got, err = asks.SignIn(ctx, server, c.User, c.Password)
	}
	if err != nil {
		return again(host, err)
	}
	if got.Refresh != "" { // from now on that, and not the password
		c.Refresh, c.Password = got.Refresh, ""
	}
	c.Session = h.session(got)
	return nil
}

// exchangeOIDC gets a new ID token from the identity provider, and may get a new refresh
// token too where it fails.
func (h *Helper) exchangeOIDC(ctx context.Context, host client.Host, c *keyring.Credential) error {
	if c.OIDC.Refresh == "" {
		return fmt.Errorf("the login to %s is over, and %s gave no refresh token: sign in again with moorgate login (with the scope offline_access, if the provider has it)", host, c.OIDC.Issuer)
	}
	hc, err := h.HTTP(c.OIDC.CA, c.OIDC.Issuer)
	if err != nil {
		return err
	}
	provider, err := deviceflow.Discover(ctx, hc, c.OIDC.Issuer, c.OIDC.ClientID, c.OIDC.Scopes)
	if err != nil {
		return fmt.Errorf("the login to %s cannot be renewed: %w", host, err)
	}
	tokens, err := provider.Refresh(ctx, c.OIDC.Refresh)
	if tokens.Refresh != "" { // also with an error: the old one may be good no more
		c.OIDC.Refresh = tokens.Refresh
	}
	if errors.Is(err, deviceflow.ErrRefused) {
		return fmt.Errorf("%s does not take the login to %s any more: sign in again with moorgate login: %w", c.OIDC.Issuer, host, err)
	}
	if err != nil {
		return fmt.Errorf("the login to %s cannot be renewed: %w", host, err)
	}
	c.Session = h.idToken(c.User, tokens)
	return nil
}

// again says what to do when a server does not take what was kept.
func again(host client.Host, err error) error {
	if errors.Is(err, client.ErrRefused) {
		return fmt.Errorf("%s does not take the login that is kept here any more (it has ended, or was revoked): sign in again with docker login or moorgate login: %w", host, err)
	}
	return fmt.Errorf("no session for %s: %w", host, err)
}

// session is what is kept of a session.
func (h *Helper) session(s client.Session) *keyring.Session {
	now := h.Now().UTC().Truncate(time.Second)
	return &keyring.Session{User: s.User, Secret: s.Token, Issued: now, Expires: now.Add(s.Life)}
}

// idToken is what is kept of an ID token.
func (h *Helper) idToken(user string, t deviceflow.Tokens) *keyring.Session {
	return &keyring.Session{User: user, Secret: t.ID, Issued: h.Now().UTC().Truncate(time.Second), Expires: t.Expires.UTC()}
}
