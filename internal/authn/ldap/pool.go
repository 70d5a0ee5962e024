package ldap

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/moorgate/moorgate/internal/authn"
)

// waitingPerConnection is how many may wait for each connection.
const waitingPerConnection = 64

// pool lends connections, at most so many at once.
type pool struct {
	dial   func(context.Context) (*conn, error)
	slots  *semaphore.Weighted
	inside *semaphore.Weighted // who has a connection, and who waits

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newPool(dial func(context.Context) (*conn, error), most int) *pool {
	return &pool{
		dial: dial, slots: semaphore.NewWeighted(int64(most)),
		inside: semaphore.NewWeighted(int64(most) * (1 + waitingPerConnection)),
	}
}

// use runs ask with a connection. When one that has rested turns out to be
// broken, it runs ask once more with a new one.
//
// Errors: authn.ErrBusy if too many wait already.
func (p *pool) use(ctx context.Context, ask func(*conn) error) error {
	if !p.inside.TryAcquire(1) {
		return authn.ErrBusy
	}
	defer p.inside.Release(1)
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting for a connection to the directory: %w", err)
	}
	defer p.slots.Release(1)
	if c := p.rested(); c != nil {
		err := p.ask(ctx, c, ask)
		if err == nil || isAnswer(err) || ctx.Err() != nil || !isElsewhere(err) && !c.ldap.IsClosing() {
			return err
		}
	}
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	return p.ask(ctx, c, ask)
}

// ask runs ask, and keeps the connection unless something went wrong on it.
func (p *pool) ask(ctx context.Context, c *conn, ask func(*conn) error) error {
	err := c.while(ctx, func() error { return ask(c) })
	if ctx.Err() != nil || isElsewhere(err) || c.ldap.IsClosing() || !p.put(c) {
		c.close()
	}
	return err
}

// put keeps a connection that nobody uses any more, unless the pool is closed.
func (p *pool) put(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.idle = append(p.idle, c)
	}
	return !p.closed
}

// rested returns a connection that nobody uses, or nil.
func (p *pool) rested() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.ldap.IsClosing() {
			return c
		}
	}
	return nil
}

// close ends the connections that rest; those in use end when they come back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}
