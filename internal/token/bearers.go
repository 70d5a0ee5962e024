package token

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/authn"
)

// Bearers returns a source that asks each of list in order. That a token has expired
// is an answer; ErrNoMatch asks the next, and so does a source that cannot answer now:
// what it has to do with the token, the others may know. If none takes the token, the
// error is the first fault, else ErrNoMatch with the reasons of all.
func Bearers(list ...authn.Bearer) authn.Bearer { return bearers(list) }

type bearers []authn.Bearer

func (b bearers) VerifyToken(ctx context.Context, token string) (authn.Token, error) {
	var fault error
	reasons := []error{authn.ErrNoMatch}
	for _, one := range b {
		t, err := one.VerifyToken(ctx, token)
		switch {
		case err == nil, errors.Is(err, authn.ErrExpired), ctx.Err() != nil:
			return t, err
		case errors.Is(err, authn.ErrNoMatch):
			reasons = append(reasons, err)
		case fault == nil: // the first one
			fault = err
		}
	}
	switch {
	case fault != nil:
		return authn.Token{}, fault
	case len(reasons) == 2:
		return authn.Token{}, reasons[1]
	}
	return authn.Token{}, errors.Join(reasons...)
}
