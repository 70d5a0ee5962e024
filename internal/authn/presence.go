package authn

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
)

// Presences asks presences in order. Only ErrNoMatch asks the next one; any other
// answer is the answer. If nobody knows who has come, the error has the reasons of
// all, each of which is ErrNoMatch; it is the bare ErrNoMatch if there are none.
func Presences(list ...Presence) Presence { return presences(list) }

type presences []Presence

func (ps presences) VerifyArrival(ctx context.Context, a Arrival) (access.Identity, error) {
	var reasons []error
	for _, p := range ps {
		who, err := p.VerifyArrival(ctx, a)
		if !errors.Is(err, ErrNoMatch) {
			return who, err
		}
		if err != ErrNoMatch { //nolint:errorlint // the bare one has no reason
			reasons = append(reasons, err)
		}
	}
	if len(reasons) == 0 {
		return access.Identity{}, ErrNoMatch
	}
	return access.Identity{}, errors.Join(reasons...)
}
