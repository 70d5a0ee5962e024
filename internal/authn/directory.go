package authn

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
)

// Directories asks directories in order. Only ErrNoMatch asks the next one; any
// other answer, a fault included, is the answer: a source that cannot answer now
// must not look like one that has lost its users.
func Directories(list ...Directory) Directory { return directories(list) }

type directories []Directory

func (ds directories) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	for _, d := range ds {
		who, stamp, err := d.Lookup(ctx, source, user)
		if !errors.Is(err, ErrNoMatch) {
			return who, stamp, err
		}
	}
	return access.Identity{}, "", ErrNoMatch
}
