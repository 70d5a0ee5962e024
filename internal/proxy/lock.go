package proxy

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
)

// everyone is the weight of a lock that nobody else shares.
const everyone = 1 << 30

// locks are locks by name, shared or not. They need no room but for those that
// are held or waited for. The zero value is ready.
type locks struct {
	mu    sync.Mutex
	named map[string]*lock
}

type lock struct {
	users int // who hold it or wait for it
	sem   *semaphore.Weighted
}

// acquire takes the locks of all names, with others or alone, and returns what
// gives them back. It fails if ctx ends before.
func (l *locks) acquire(ctx context.Context, names []string, alone bool) (release func(), err error) {
	weight := int64(1)
	if alone {
		weight = everyone
	}
	// In one order, and none twice: or two could wait for each other.
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	var held []string
	release = func() {
		for _, name := range held {
			l.leave(name, weight)
		}
	}
	for _, name := range names {
		if err := l.enter(name).Acquire(ctx, weight); err != nil {
			l.leave(name, 0)
			release()
			return nil, err //nolint:wrapcheck // that of the context
		}
		held = append(held, name)
	}
	return release, nil
}

func (l *locks) enter(name string) *semaphore.Weighted {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.named == nil {
		l.named = map[string]*lock{}
	}
	if l.named[name] == nil {
		l.named[name] = &lock{sem: semaphore.NewWeighted(everyone)}
	}
	l.named[name].users++
	return l.named[name].sem
}

func (l *locks) leave(name string, weight int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.named[name]
	if weight > 0 {
		k.sem.Release(weight)
	}
	if k.users--; k.users == 0 {
		delete(l.named, name)
	}
}
