// Package session issues and takes sessions: what a client gets for a password or
// a key, and sends in its place for an hour. A session is a signed token of ours that
// stands for the whole login, and is good for nothing but signing in here.
package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/token"
)

// Audience is the aud of sessions, and the service that clients ask for one with.
// No registry has this name: the configuration refuses it.
const Audience = "urn:moorgate:session"

// Sessions issues sessions and takes them: as passwords, since that is what
// registry clients can keep, and as bearer tokens. It implements
// authn.Recognizer and authn.Bearer. Its fields are set before its first use.
type Sessions struct {
	Issuer   string
	Sign     func(c token.Claims, chain bool) (string, error)
	Verifier authn.Bearer    // a token.Verifier of Issuer, for Audience, with Sessions set
	Users    authn.Directory // who is asked whether a user is still there
	Secret   []byte          // 32 bytes: hides what a session is bound to
	TTL      time.Duration   // of a session; 0: there are none, and those from before are refused
	Now      func() time.Time

	memory memory
}

// ErrUnavailable says that the source of a user cannot be asked now.
var ErrUnavailable = errors.New("the source of the user does not answer")

// Session is a new session.
type Session struct {
	Token   string
	Expires time.Time
}

// Issue returns a session for a user who has just signed in. It ends no later than
// what they signed in with, if that was a token.
//
// Where the source of the user can be asked whether they are still there, the session is bound to the password
// that they have now, which may be another than the one just verified: whoever
// verified it does so once more after Issue, and hands out the session only then.
//
// Errors: authn.ErrExpired if what they signed in with has ended; authn.ErrNoMatch if
// the user is gone; ErrUnavailable.
func (s *Sessions) Issue(ctx context.Context, who access.Identity) (Session, error) {
	if who.IsAnonymous() {
		return Session{}, errors.New("nobody is signed in, and a session is for a user: sign in first")
	}
	bound := ""
	_, stamp, err := s.ask(ctx, person{who.Source, who.User}, s.Now())
	switch {
	case err == nil:
		bound = s.bind(who, stamp)
	case errors.Is(err, authn.ErrNoMatch):
		return Session{}, fmt.Errorf("%w: %q is gone from %s", authn.ErrNoMatch, who.User, who.Source)
	case !errors.Is(err, authn.ErrCannotTell):
		return Session{}, fmt.Errorf("%w: look up %q for a session: %w", ErrUnavailable, who.User, err)
	}
	now := s.Now().UTC().Truncate(time.Second)
	c := token.Claims{
		Issuer: s.Issuer, Audience: Audience, Who: who, IssuedAt: now, Expires: now.Add(s.TTL),
		Session: &token.Session{Bound: bound},
	}
	if !who.Until.IsZero() && who.Until.Before(c.Expires) {
		c.Expires = who.Until
	}
	if !c.Expires.After(now) {
		return Session{}, fmt.Errorf("%w: what %q has signed in with is over", authn.ErrExpired, who.User)
	}
	text, err := s.Sign(c, false)
	if err != nil {
		return Session{}, fmt.Errorf("sign a session of %q: %w", who.User, err)
	}
	return Session{Token: text, Expires: c.Expires}, nil
}

// bind returns what a session says about the password of its user: it changes with
// the password, and tells nothing about it.
func (s *Sessions) bind(who access.Identity, stamp string) string {
	mac := hmac.New(sha256.New, s.Secret)
	for _, field := range []string{who.Source, who.User, stamp} {
		mac.Write(binary.AppendUvarint(nil, uint64(len(field))))
		mac.Write([]byte(field))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
