package session

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// maxSession bounds what may be a session, in bytes.
const maxSession = 16 << 10

// Recognizes reports whether the password is a token of ours, whatever it is for:
// none of them is to be shown to other sources.
func (s *Sessions) Recognizes(_, password string) bool { return Ours(s.Issuer, password) }

// Ours reports whether text looks like a token of an issuer, whatever it is for.
func Ours(issuer, text string) bool {
	c, ok := peek(text)
	return ok && c.Issuer == issuer
}

// claimed is what a token says of itself.
type claimed struct {
	Issuer string `json:"iss"`
}

// peek reads a token that nobody has verified.
func peek(text string) (c claimed, ok bool) {
	parts := strings.SplitN(text, ".", 4)
	if len(text) > maxSession || len(parts) != 3 {
		return claimed{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	return c, err == nil && json.Unmarshal(payload, &c) == nil
}

// Account is the user name to send a session of user with: the first colon ends a name
// in a request (RFC 7617, section 2), and jobs are called like "repo:org/app". A
// session says by itself whose it is.
func Account(user string) string { return strings.ReplaceAll(user, ":", "_") }

// VerifyPassword returns the identity of user if password is a session of theirs. user
// may be written as Account has it.
//
// Errors: authn.ErrNoMatch; authn.ErrWrongPassword if it has ended, or is of
// somebody else. Others mean that the source of the user cannot answer.
func (s *Sessions) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	if !s.Recognizes(user, password) {
		return access.Identity{}, authn.ErrNoMatch
	}
	t, err := s.VerifyToken(ctx, password)
	switch {
	case errors.Is(err, authn.ErrExpired):
		return access.Identity{}, fmt.Errorf("%w: the session is over: %w", authn.ErrWrongPassword, err)
	case err != nil:
		return access.Identity{}, err
	case user != t.Who.User && user != Account(t.Who.User):
		return access.Identity{}, fmt.Errorf("%w: it is a session of somebody else", authn.ErrWrongPassword)
	}
	return t.Who, nil
}

// VerifyToken returns whom a session stands for. It limits nothing: the policy says
// what they may.
//
// Errors: authn.ErrNoMatch, authn.ErrExpired; others mean that the source of the user
// cannot answer.
func (s *Sessions) VerifyToken(ctx context.Context, text string) (authn.Token, error) {
	t, err := s.Verifier.VerifyToken(ctx, text)
	if err != nil && !errors.Is(err, authn.ErrExpired) {
		return authn.Token{}, err
	}
	if s.TTL <= 0 {
		return authn.Token{}, fmt.Errorf("%w: it is a session, and there are none here (token.session_ttl)", authn.ErrNoMatch)
	}
	if t.Bound == "" {
		return t, err
	}
	groups, gone := s.still(ctx, t.Who, t.Bound)
	if gone != nil {
		return authn.Token{}, gone
	}
	t.Who.Groups = groups // t is a copy: what the verifier returned is shared
	return t, err
}

// still returns the present groups of whom a session is of, if they have still the
// password that it is bound to. All else of them is as it was: who signed in with
// less than their password gets no more by a session.
func (s *Sessions) still(ctx context.Context, who access.Identity, bound string) ([]string, error) {
	present, stamp, err := s.lookup(ctx, who.Source, who.User)
	switch {
	case errors.Is(err, authn.ErrNoMatch):
		return nil, fmt.Errorf("%w: the user of the session is gone", authn.ErrNoMatch)
	case errors.Is(err, authn.ErrCannotTell):
		return nil, fmt.Errorf("%w: the source of the user of the session cannot be asked any more", authn.ErrNoMatch)
	case err != nil:
		return nil, fmt.Errorf("look up %q of a session: %w", who.User, err)
	case !hmac.Equal([]byte(bound), []byte(s.bind(who, stamp))):
		return nil, fmt.Errorf("%w: the user of the session has another password", authn.ErrNoMatch)
	}
	return present.Groups, nil
}
