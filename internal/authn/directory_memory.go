package authn

import (
	"context"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/moorgate/moorgate/internal/access"
)

// Remembered returns d with a memory, for those who ask it on each request: who was
// there is taken for there, in the same groups, until ttl is over. Who was not, and
// what could not be told, is never remembered. Many who ask about one user at once
// ask d once. Without a ttl it is d itself.
func Remembered(d Directory, ttl time.Duration) Directory {
	return remembered(d, ttl, nil)
}

// remembered is Remembered with a clock; nil is the clock of the machine.
func remembered(d Directory, ttl time.Duration, clock otter.Clock) Directory {
	if ttl <= 0 {
		return d
	}
	return &directoryMemory{next: d, seen: otter.Must(&otter.Options[person, Entry]{
		MaximumSize:      DefaultCacheEntries,
		ExpiryCalculator: otter.ExpiryWriting[person, Entry](ttl),
		Clock:            clock,
	})}
}

type directoryMemory struct {
	next    Directory
	seen    *otter.Cache[person, Entry]
	flights singleflight.Group
}

// person is a user of a source.
type person struct{ source, user string }

var _ Entries = (*directoryMemory)(nil)

func (m *directoryMemory) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	e, err := m.LookupEntry(ctx, source, user)
	return e.Who, e.Stamp, err
}

// LookupEntry is Entries.
func (m *directoryMemory) LookupEntry(ctx context.Context, source, user string) (Entry, error) {
	p := person{source, user}
	if e, ok := m.seen.GetIfPresent(p); ok {
		return e, nil
	}
	flight := m.flights.DoChan(fmt.Sprintf("%d %s %s", len(source), source, user), func() (any, error) {
		// Others wait for the answer too: it is not to end with the first request.
		e, err := LookupEntry(context.WithoutCancel(ctx), m.next, source, user)
		if err != nil {
			return Entry{}, err
		}
		m.seen.Set(p, e)
		return e, nil
	})
	select {
	case <-ctx.Done():
		return Entry{}, ctx.Err()
	case r := <-flight:
		e, _ := r.Val.(Entry)
		return e, r.Err
	}
}
