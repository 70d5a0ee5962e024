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
	away := errors.Is(exchanged, client.ErrUnreachable) && !errors.Is(ctx.Err(), context.Canceled) // by the user
	if c.Unreachable = (time.Time{}); away {
		c.Unreachable = h.Now()
	}
	kept := h.Keyring.Write(string(host), c)
	switch {
	case away && old != nil && h.good(*old):
		return *old, nil // the registry may be there all the same
	case exchanged != nil:
		return keyring.Session{}, exchanged
	case kept != nil:
		return keyring.Session{}, fmt.Errorf("cannot keep the login: %w", kept)
	}
	return *c.Session, nil
}

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

// exchangeOIDC gets a new ID token from the identity provider.
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
		return fmt.Errorf("%w: %w", client.ErrUnreachable, err)
	}
	tokens, err := provider.Refresh(ctx, c.OIDC.Refresh)
	if errors.Is(err, deviceflow.ErrRefused) {
		return fmt.Errorf("%s does not take the login to %s any more: sign in again with moorgate login: %w", c.OIDC.Issuer, host, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", client.ErrUnreachable, err)
	}
	c.OIDC.Refresh, c.Session = tokens.Refresh, h.idToken(c.User, tokens)
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
