package sqlmeta

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/moorgate/moorgate/internal/meta"
)

// readers is a pool of sessions that read. They keep their prepared statements
// and their page caches, so the last used is the first to be used again.
type readers struct {
	db      *sql.DB
	dialect *dialect
	slots   chan struct{} // one for each session in use

	mu   sync.Mutex
	idle []*session
}

func newReaders(db *sql.DB, d *dialect, n int) *readers {
	return &readers{db: db, dialect: d, slots: make(chan struct{}, n)}
}

// view runs fn on a snapshot. Statements do not heed ctx: they are short, and
// the driver would start a goroutine for each to watch it.
func (r *readers) view(ctx context.Context, fn func(meta.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.slots }()
	s, err := r.take(ctx)
	if err != nil {
		return r.dialect.describe(err)
	}
	ctx = context.WithoutCancel(ctx)
	if err := s.run(ctx, "BEGIN"); err != nil {
		_ = s.close() // the error of BEGIN says more
		return r.dialect.describe(err)
	}
	defer r.end(ctx, s)
	t := &tx{ctx: ctx, q: s, dialect: r.dialect}
	if err := fn(t); err != nil {
		return err
	}
	return t.failed
}

// end gives a session back, unless it does not get out of its transaction.
func (r *readers) end(ctx context.Context, s *session) {
	if err := s.run(ctx, "COMMIT"); err != nil {
		_ = s.close() // nothing was written that could be lost
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, s)
}

func (r *readers) take(ctx context.Context) (*session, error) {
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		s := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return s, nil
	}
	r.mu.Unlock()
	return newSession(ctx, r.db)
}

func (r *readers) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range r.idle {
		errs = append(errs, s.close())
	}
	r.idle = nil
	return errors.Join(errs...)
}
