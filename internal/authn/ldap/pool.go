package ldap

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"
)

// pool lends connections, at most so many at once.
type pool struct {
	dial  func(context.Context) (*conn, error)
	slots *semaphore.Weighted

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newPool(dial func(context.Context) (*conn, error), most int) *pool {
	return &pool{dial: dial, slots: semaphore.NewWeighted(int64(most))}
}

// use runs ask with a connection. When one that has rested turns out to be
// broken, it runs ask once more with a new one.
func (p *pool) use(ctx context.Context, ask func(*conn) error) error {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting for a connection to the directory: %w", err)
	}
	defer p.slots.Release(1)
	if c := p.rested(); c != nil {
		err := p.ask(ctx, c, ask)
		if !isConnection(err) {
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
	if ctx.Err() != nil || isConnection(err) || c.ldap.IsClosing() {
		c.close()
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.close()
		return err
	}
	p.idle = append(p.idle, c)
	return err
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
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}
