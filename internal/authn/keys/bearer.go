package keys

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
)

// Bearer returns a source that takes keys as tokens, and of next tokens that were made
// from keys, as Limited has it. All that are no keys are shown to next.
func (k *Keys) Bearer(next authn.Bearer) authn.Bearer { return Route(k.Tokens(), k.Limited(next)) }

// Route returns a source that shows keys to own alone, and all else to next.
func Route(own, next authn.Bearer) authn.Bearer { return &router{own: own, next: next} }

type router struct{ own, next authn.Bearer }

func (r *router) VerifyToken(ctx context.Context, token string) (authn.Token, error) {
	if LooksLikeKey(token) {
		return r.own.VerifyToken(ctx, token)
	}
	return r.next.VerifyToken(ctx, token)
}

// Tokens returns a source that takes keys as tokens, and nothing else.
func (k *Keys) Tokens() authn.Bearer { return keyTokens{k} }

type keyTokens struct{ keys *Keys }

func (t keyTokens) VerifyToken(ctx context.Context, text string) (authn.Token, error) {
	if !LooksLikeKey(text) {
		return authn.Token{}, authn.ErrNoMatch
	}
	return t.keys.verifyToken(ctx, text)
}

// Limited returns a source that lets a token of next that was made from a key do no
// more than the key does now: with the key, with its owner, and with its time the token
// ends too.
func (k *Keys) Limited(next authn.Bearer) authn.Bearer { return &limited{keys: k, next: next} }

type limited struct {
	keys *Keys
	next authn.Bearer
}

// VerifyToken is authn.Bearer. Of a token that has expired, the Token that comes with
// the error has the limits of its key too.
func (b *limited) VerifyToken(ctx context.Context, token string) (authn.Token, error) {
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
