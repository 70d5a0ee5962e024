package keys

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
)

// Bearer returns a source that takes keys as tokens, and lets a token that was made
// from a key do no more than the key does now: with the key, with its owner, and with
// its time the token ends too. All that are no keys are shown to next.
func (k *Keys) Bearer(next authn.Bearer) authn.Bearer { return &bearer{keys: k, next: next} }

type bearer struct {
	keys *Keys
	next authn.Bearer
}

// VerifyToken is authn.Bearer. Of a token that has expired, the Token that comes with
// the error has the limits of its key too.
func (b *bearer) VerifyToken(ctx context.Context, token string) (authn.Token, error) {
	if looksLikeKey(token) {
		return b.keys.verifyToken(ctx, token)
	}
	t, err := b.next.VerifyToken(ctx, token)
	if t.Who.With == nil || err != nil && !errors.Is(err, authn.ErrExpired) {
		return t, err
	}
	who, gone := b.keys.Present(ctx, t.Who)
	if gone != nil {
		return authn.Token{}, gone
	}
	t.Who = who // t is a copy: what next returned may be shared
	return t, err
}

func (k *Keys) verifyToken(ctx context.Context, text string) (authn.Token, error) {
	e, err := k.find(ctx, text)
	who, err := k.present(ctx, e, err)
	if err != nil {
		return authn.Token{}, as(authn.ErrNoMatch, err)
	}
	return authn.Token{Who: who, Expires: e.stored.ExpiresAt}, nil
}

// Present returns what is now true of somebody who signed in with a key some time ago,
// such as for a token: who.With names the key, and need not say more. Groups and claims
// are those that the directory tells now, as with the key itself.
//
// Errors: authn.ErrNoMatch with the reason behind it if the key or its owner is gone,
// or the time of the key is over. Any other error says nothing about them.
func (k *Keys) Present(ctx context.Context, who access.Identity) (access.Identity, error) {
	e, err := k.stored(ctx, who.With.ID)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		err = refuse("the key %.40q that it was made from is gone", who.With.ID)
	case err == nil && (e.robot() != (who.Source == access.RobotSource) || !e.robot() && (who.Source != e.stored.Source || who.User != e.stored.User)):
		err = refuse("the key %s that it was made from is that of somebody else", e.stored.ID)
	}
	now, err := k.present(ctx, e, err)
	return now, as(authn.ErrNoMatch, err)
}
