package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// clientID is how this program calls itself: "moorgate token list" shows it.
const clientID = "docker-credential-moorgate"

// maxLife bounds what a server may say about the life of a session.
const maxLife = 24 * time.Hour

// Session is what a server gives for a password.
type Session struct {
	User    string        // the name to send with it
	Token   string        // to send as the password
	Life    time.Duration // from now
	Refresh string        // for the next ones; "" if the server gives none
}

// SignIn gets a session for a password or a key, and a refresh token for the next
// sessions if the server gives one.
//
// Errors: ErrRefused, ErrUnreachable.
func (c *Client) SignIn(ctx context.Context, s Server, user, password string) (Session, error) {
	return c.session(ctx, s, url.Values{
		"grant_type": {"password"}, "username": {user}, "password": {password}, "access_type": {"offline"},
	})
}

// Refresh gets a session for a refresh token.
//
// Errors: ErrRefused, ErrUnreachable.
func (c *Client) Refresh(ctx context.Context, s Server, token string) (Session, error) {
	return c.session(ctx, s, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// Revoke gives a refresh token back.
//
// Errors: ErrUnreachable; others are what the server says.
func (c *Client) Revoke(ctx context.Context, s Server, token string) error {
	r, err := c.post(ctx, s.Revoke, url.Values{"token": {token}, "token_type_hint": {"refresh_token"}})
	if err != nil {
		return err
	}
	if r.status != http.StatusOK {
		return fmt.Errorf("%s: %w", s.Revoke, r.problem())
	}
	return nil
}

func (c *Client) session(ctx context.Context, s Server, form url.Values) (Session, error) {
	form.Set("service", Service)
	form.Set("client_id", clientID)
	r, err := c.post(ctx, s.Token, form)
	if err != nil {
		return Session{}, err
	}
	switch {
	case r.status == http.StatusUnauthorized:
		return Session{}, fmt.Errorf("%w: %w", ErrRefused, r.problem())
	case r.status == http.StatusTooManyRequests, r.status >= http.StatusInternalServerError:
		return Session{}, fmt.Errorf("%w: %w", ErrUnreachable, r.problem())
	case r.status != http.StatusOK:
		return Session{}, fmt.Errorf("%s: %w", s.Token, r.problem())
	}
	var body struct {
		Token   string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Account string `json:"account"`
		Seconds int64  `json:"expires_in"`
	}
	if json.Unmarshal(r.body, &body) != nil || body.Token == "" || body.Account == "" || body.Seconds <= 0 {
		return Session{}, fmt.Errorf("%s: %w: its answer is no session", s.Token, ErrNotMoorgate)
	}
	life := time.Duration(min(body.Seconds, int64(maxLife/time.Second))) * time.Second
	return Session{User: body.Account, Token: body.Token, Refresh: body.Refresh, Life: life}, nil
}
