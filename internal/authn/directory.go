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

var _ Entries = directories(nil)

func (ds directories) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	e, err := ds.LookupEntry(ctx, source, user)
	return e.Who, e.Stamp, err
}

// LookupEntry is Entries.
func (ds directories) LookupEntry(ctx context.Context, source, user string) (Entry, error) {
	for _, d := range ds {
		e, err := LookupEntry(ctx, d, source, user)
		if !errors.Is(err, ErrNoMatch) {
			return e, err
		}
	}
	return Entry{}, ErrNoMatch
}
