// Package oidc is the identity source of machines: it takes the ID tokens that an
// issuer of OpenID Connect gives them, such as a CI system to its jobs or a cluster to
// its workloads (OpenID Connect Core 1.0, section 2).
package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/token"
)

// Source takes the tokens of one issuer, as passwords and as tokens. What it returns is
// shared: nobody may change it.
type Source struct {
	name   string
	cfg    Config
	tokens *token.IDTokens
	file   *token.KeysFile // nil: the keys are behind url
	url    *token.KeysURL  // nil: the keys are in file
}

var (
	_ authn.Recognizer = (*Source)(nil)
	_ authn.Bearer     = (*Source)(nil)
	_ authn.Prober     = (*Source)(nil)
)

// Open reads the files that c names. It fetches nothing: an issuer that cannot be
// reached now does not keep others from signing in. name is Identity.Source of those
// whom it takes tokens of. c has passed Check.
func Open(name string, c Config) (*Source, error) {
	m, mistakes := compile(c)
	for key, err := range mistakes {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	m.source = name
	s := &Source{name: name, cfg: c}
	s.tokens = &token.IDTokens{Issuer: c.Issuer, Audiences: slices.Clone(c.Audience), Identify: m.identify, Leeway: c.Leeway}
	var err error
	options := token.KeysURLOptions{Refresh: c.Refresh, Timeout: c.Timeout, CAFile: c.CA, TokenFile: c.TokenFile}
	switch {
	case c.KeysFile != "":
		s.file, err = token.OpenKeysFile(c.KeysFile)
		s.tokens.Keys = s.file
	case c.KeysURL != "":
		s.url, err = token.NewKeysURL(c.KeysURL, options)
		s.tokens.Keys = s.url
	default:
		s.url, err = token.NewIssuerKeys(c.Issuer, options)
		s.tokens.Keys = s.url
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the file with the keys again. If that fails, they stay as they were.
func (s *Source) Reload() error {
	if s.file == nil {
		return nil
	}
	return s.file.Reload()
}

// Warm gets the keys, so that the first who comes need not wait for them. The error is
// why they cannot be had now; they are asked for again when somebody comes.
func (s *Source) Warm(ctx context.Context) error {
	if _, err := s.tokens.Keys.Key(ctx, ""); err != nil && !errors.Is(err, token.ErrUnknownKey) {
		return s.named(err)
	}
	return nil
}

// Recognizes is authn.Recognizer: any signed token with the name is one for sources of
// this kind. No other source has a use for it, and none should see it.
func (s *Source) Recognizes(user, password string) bool {
	return user == s.cfg.Username && token.IsJWT(password)
}

// VerifyPassword is authn.Password, where the password is a token. Who it is about is not
// the user of the request, which only says that a token comes. A token that is refused is
// ErrNoMatch with the reason: two clusters may have one name of an issuer, and keys of
// their own.
func (s *Source) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	if !s.Recognizes(user, password) {
		return access.Identity{}, authn.ErrNoMatch
	}
	t, err := s.VerifyToken(ctx, password)
	switch {
	case errors.Is(err, authn.ErrExpired):
		return access.Identity{}, fmt.Errorf("%w: %w", authn.ErrWrongPassword, err)
	case err != nil:
		return access.Identity{}, err
	}
	who := t.Who
	who.Until = t.Expires
	return who, nil
}

// VerifyToken is authn.Bearer. The token has no ceiling.
func (s *Source) VerifyToken(ctx context.Context, text string) (authn.Token, error) {
	t, err := s.tokens.VerifyToken(ctx, text)
	return t, s.named(err)
}

// named says of which source an error is.
func (s *Source) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", s.name, err)
}
