package token

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/authn"
)

// Bearers returns a source that asks each of list in order. Only ErrNoMatch asks
// the next; that a token has expired is an answer. If none takes the token, the
// error is ErrNoMatch with the reasons of all.
func Bearers(list ...authn.Bearer) authn.Bearer { return bearers(list) }

type bearers []authn.Bearer

func (b bearers) VerifyToken(ctx context.Context, token string) (authn.Token, error) {
	reasons := []error{authn.ErrNoMatch}
	for _, one := range b {
		t, err := one.VerifyToken(ctx, token)
		if !errors.Is(err, authn.ErrNoMatch) {
			return t, err
		}
		reasons = append(reasons, err)
	}
	if len(reasons) == 2 {
		return authn.Token{}, reasons[1]
	}
	return authn.Token{}, errors.Join(reasons...)
}
