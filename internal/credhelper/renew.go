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
// for one use.
func (h *Helper) renew(ctx context.Context, host client.Host) (s keyring.Session, err error) {
	unlock, err := h.Keyring.Lock(string(host))
	if err != nil {
		return keyring.Session{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	c, err := h.Keyring.Read(string(host))
	if err != nil {
		return keyring.Session{}, err
	}
	if c.Session != nil && h.fresh(*c.Session) {
		return *c.Session, nil
	}
	old := c.Session
	if err := h.exchange(ctx, host, &c); err != nil {
		if errors.Is(err, client.ErrUnreachable) && old != nil && h.Now().Before(old.Expires) && !h.Now().Before(old.Issued) {
			return *old, nil // the registry may be there all the same
		}
		return keyring.Session{}, err
	}
	if err := h.Keyring.Write(string(host), c); err != nil {
		return keyring.Session{}, fmt.Errorf("cannot keep the login: %w", err)
	}
	return *c.Session, nil
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
