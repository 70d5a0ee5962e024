package authn

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
)

// Directories asks directories in order. ErrNoMatch and ErrCannotTell ask the next
// one; any other answer, a fault included, is the answer: a source that cannot answer
// now must not look like one that has lost its users. If one of them would know the
// user and does not, that is the answer; if none can tell, it is ErrCannotTell.
func Directories(list ...Directory) Directory { return directories(list) }

type directories []Directory

var _ Entries = directories(nil)

func (ds directories) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	e, err := ds.LookupEntry(ctx, source, user)
	return e.Who, e.Stamp, err
}

// LookupEntry is Entries.
func (ds directories) LookupEntry(ctx context.Context, source, user string) (Entry, error) {
	none := ErrCannotTell
	for _, d := range ds {
		e, err := LookupEntry(ctx, d, source, user)
		switch {
		case errors.Is(err, ErrNoMatch):
			none = ErrNoMatch
		case !errors.Is(err, ErrCannotTell):
			return e, err
		}
	}
	return Entry{}, none
}
