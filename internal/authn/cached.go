package authn

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
)

// Stamped is a source that can tell when what it verified is no longer so.
type Stamped interface {
	Password

	// Stamp returns a value that changes whenever the stored password of user
	// does, such as the stored hash; "" if user is unknown. It is fast, and
	// may be called at once by many.
	Stamp(user string) string
}

// Cached returns next with a memory: a password that next verified is taken
// for verified until cache forgets it or the stamp of its user changes. Many
// requests at once with the same password ask next once. source is the name of
// next among all that share cache.
func Cached(source string, next Stamped, cache *Cache) Password {
	return &cached{source: source, next: next, cache: cache}
}

type cached struct {
	source string
	next   Stamped
	cache  *Cache
}

func (c *cached) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	stamp := c.next.Stamp(user)
	key := c.cache.key(c.source, stamp, user, password)
	if who, ok := c.cache.find(key); ok {
		return who, nil
	}
	for {
		who, started, err := c.join(ctx, key, stamp, user, password)
		if isContextError(err) && !started && ctx.Err() == nil {
			continue // the request that did the work went away; this one did not
		}
		return who, err
	}
}

// join waits for the one check of this password that is running, and starts
// it if there is none.
func (c *cached) join(ctx context.Context, key cacheKey, stamp, user, password string) (who access.Identity, started bool, err error) {
	var own bool // written by the flight before it answers
	flight := c.cache.flights.DoChan(string(key[:]), func() (any, error) {
		own = true
		return c.verify(ctx, key, stamp, user, password)
	})
	select {
	case <-ctx.Done():
		return access.Identity{}, false, ctx.Err()
	case r := <-flight:
		who, _ = r.Val.(access.Identity)
		return who, own, r.Err
	}
}

func (c *cached) verify(ctx context.Context, key cacheKey, stamp, user, password string) (access.Identity, error) {
	// Another check may have ended between the look and the flight.
	if who, ok := c.cache.find(key); ok {
		return who, nil
	}
	who, err := c.next.VerifyPassword(ctx, user, password)
	if err != nil {
		return access.Identity{}, err
	}
	// The file may have changed meanwhile: then this says nothing about stamp.
	if stamp != "" && c.next.Stamp(user) == stamp {
		c.cache.verified.Set(key, who)
	}
	return who, nil
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
