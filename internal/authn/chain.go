package authn

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
)

// Chain asks sources in order. Only ErrNoMatch asks the next one; any other
// answer, a fault included, is the answer. A user whom no source knows, and a
// chain without sources, is ErrNoMatch.
func Chain(sources ...Password) Password { return chain(sources) }

type chain []Password

func (c chain) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	for _, source := range c {
		who, err := source.VerifyPassword(ctx, user, password)
		if !errors.Is(err, ErrNoMatch) {
			return who, err
		}
	}
	return access.Identity{}, ErrNoMatch
}
