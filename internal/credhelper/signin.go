package credhelper

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/deviceflow"
	"github.com/moorgate/moorgate/internal/keyring"
)

// revokeTimeout bounds the giving back of a refresh token, without which a user can
// sign out too.
const revokeTimeout = 10 * time.Second

// SignIn tries a name and a password at a registry, and keeps them: a refresh token in
// place of the password, where the server gives one. ca is a PEM file of the
// registry's authorities, or "". It returns the user that the server knows.
func (h *Helper) SignIn(ctx context.Context, host client.Host, ca, user, password string) (string, error) {
	c, server, err := h.find(ctx, host, ca)
	if err != nil {
		return "", err
	}
	got, err := c.SignIn(ctx, server, user, password)
	if err != nil {
		return "", fmt.Errorf("cannot sign in to %s: %w", host, err)
	}
	kept := keyring.Credential{User: user, CA: ca, TokenURL: server.Token, RevokeURL: server.Revoke}
	if kept.Refresh = got.Refresh; got.Refresh == "" {
		kept.Password = password
	}
	kept.Session = h.session(got)
	return got.User, h.keep(ctx, host, kept)
}

// keepIdentity keeps a refresh token that docker has got for the registry.
func (h *Helper) keepIdentity(ctx context.Context, host client.Host, token string) error {
	_, server, err := h.find(ctx, host, "")
	if err != nil {
		return err
	}
	return h.keep(ctx, host, keyring.Credential{User: identityUser, Identity: token, TokenURL: server.Token, RevokeURL: server.Revoke})
}

// SignInOIDC tries tokens of an identity provider at a registry, and keeps them. user is
// the name to send with them. It returns the user that the server knows.
func (h *Helper) SignInOIDC(ctx context.Context, host client.Host, ca, user string, o keyring.OIDC, tokens deviceflow.Tokens) (string, error) {
	c, server, err := h.find(ctx, host, ca)
	if err != nil {
		return "", err
	}
	got, err := c.SignIn(ctx, server, user, tokens.ID)
	if err != nil {
		return "", fmt.Errorf("%s does not take the tokens of %s: see its log: %w", host, o.Issuer, err)
	}
	if got.Refresh != "" { // the provider refreshes, and knows best for how long
		_ = c.Revoke(ctx, server, got.Refresh)
	}
	o.Refresh = tokens.Refresh
	return got.User, h.keep(ctx, host, keyring.Credential{User: user, CA: ca, OIDC: &o, Session: h.idToken(user, tokens)})
}

// keep replaces what there was for a registry, and gives its refresh token back.
func (h *Helper) keep(ctx context.Context, host client.Host, c keyring.Credential) (err error) {
	unlock, err := h.Keyring.Lock(ctx, string(host))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	old, oldErr := h.Keyring.Read(string(host)) // a damaged one is replaced too
	if err := h.Keyring.Write(string(host), c); err != nil {
		return fmt.Errorf("cannot keep the login: %w", err)
	}
	if oldErr == nil {
		h.giveBack(ctx, host, old)
	}
	return nil
}

// SignOut forgets a registry, and gives the refresh token back. Whether the server
// could be reached for that or not, this machine has it no more.
//
// Errors: keyring.ErrNotFound.
func (h *Helper) SignOut(ctx context.Context, host client.Host) (err error) {
	if _, err := h.Keyring.Read(string(host)); errors.Is(err, keyring.ErrNotFound) {
		return err // without making a directory for its lock
	}
	unlock, err := h.Keyring.Lock(ctx, string(host))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	old, readErr := h.Keyring.Read(string(host)) // a damaged one is forgotten too
	if errors.Is(readErr, keyring.ErrNotFound) {
		return readErr
	}
	if err := h.Keyring.Remove(string(host)); err != nil {
		return err
	}
	if readErr == nil {
		h.giveBack(ctx, host, old)
	}
	return nil
}

// giveBack ends the refresh token of a credential that is not needed any more, if the
// server can be reached: else it ends by itself, or by "moorgate token revoke".
func (h *Helper) giveBack(ctx context.Context, host client.Host, c keyring.Credential) {
	token := c.Refresh
	if token == "" {
		token = c.Identity
	}
	if token == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if asks, err := h.client(host, c.CA, c.TokenURL); err == nil {
		_ = asks.Revoke(ctx, client.Server{Token: c.TokenURL, Revoke: c.RevokeURL}, token)
	}
}

// find returns the server of a registry, and a client that trusts it.
func (h *Helper) find(ctx context.Context, host client.Host, ca string) (*client.Client, client.Server, error) {
	c, err := h.client(host, ca, "")
	if err != nil {
		return nil, client.Server{}, err
	}
	server, err := c.Find(ctx, host)
	if errors.Is(err, client.ErrNotMoorgate) || errors.Is(err, client.ErrNoSessions) {
		return nil, client.Server{}, fmt.Errorf("%s keeps no logins for %s: %w; use this helper for Moorgates only, by \"credHelpers\" in the client's config.json and not by \"credsStore\"", Name, host, err)
	}
	if err != nil {
		return nil, client.Server{}, fmt.Errorf("cannot ask %s: %w", host, err)
	}
	if c, err = h.client(host, ca, server.Token); err != nil {
		return nil, client.Server{}, err
	}
	return c, server, nil
}

// client returns a client that trusts a registry, and the server of its sessions, which
// may be another host.
func (h *Helper) client(host client.Host, ca, tokenURL string) (*client.Client, error) {
	addresses := []string{string(host)}
	if tokenURL != "" {
		addresses = append(addresses, tokenURL)
	}
	hc, err := h.HTTP(ca, addresses...)
	return &client.Client{HTTP: hc}, err
}

// HTTP returns a client that trusts the servers at addresses, by the authorities in the
// PEM file ca too unless that is "".
func (h *Helper) HTTP(ca string, addresses ...string) (*http.Client, error) {
	var hosts []client.Host
	for _, address := range addresses {
		host, err := client.ParseHost(address)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, host)
	}
	trust, err := client.NewTrust(h.Dirs, ca, hosts...)
	if err != nil {
		return nil, err
	}
	return client.NewHTTP(trust), nil
}
