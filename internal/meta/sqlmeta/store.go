// Package sqlmeta keeps metadata in an SQL database: SQLite in one file, or
// PostgreSQL.
package sqlmeta

import (
	"context"
	"errors"
	"sync"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

var _ meta.Store = (*Store)(nil)

var errClosed = errors.New("the metadata store is closed")

// Store is a meta.Store. OpenSQLite and OpenPostgres make one.
type Store struct {
	engine engine
	locks  keyLocks

	// open is held for reading by whoever uses the engine, and for writing to
	// close it.
	open   sync.RWMutex
	closed bool
}

// engine runs transactions on one kind of database.
type engine interface {
	// view runs fn on a snapshot.
	view(ctx context.Context, fn func(meta.Tx) error) error

	// update runs fn and commits. A relaxed commit does not wait for the disk.
	update(ctx context.Context, relaxed bool, fn func(meta.Tx) error) error

	// lockBlob keeps other processes out. This one is kept out already.
	lockBlob(ctx context.Context, d oci.Digest) (unlock func(), err error)

	// close is called once, when no other method runs.
	close() error
}

// View implements meta.Store.
func (s *Store) View(ctx context.Context, fn func(meta.Tx) error) error {
	return s.use(func() error { return s.engine.view(ctx, fn) })
}

// Update implements meta.Store. A panic of fn is returned as an error.
func (s *Store) Update(ctx context.Context, fn func(meta.Tx) error) error {
	return s.use(func() error { return s.engine.update(ctx, false, fn) })
}

// UpdateRelaxed implements meta.Store. A panic of fn is returned as an error.
func (s *Store) UpdateRelaxed(ctx context.Context, fn func(meta.Tx) error) error {
	return s.use(func() error { return s.engine.update(ctx, true, fn) })
}

// LockBlob implements meta.Store. unlock may be called again, which does
// nothing. The error is that of ctx, or a fault of the storage.
func (s *Store) LockBlob(ctx context.Context, d oci.Digest) (unlock func(), err error) {
	// In this process first: waiting here costs no database connection.
	release, err := s.locks.lock(ctx, d)
	if err != nil {
		return nil, err
	}
	var outside func()
	err = s.use(func() (err error) {
		outside, err = s.engine.lockBlob(ctx, d)
		return err
	})
	if err != nil {
		release()
		return nil, err
	}
	return sync.OnceFunc(func() {
		outside()
		release()
	}), nil
}

// Close implements meta.Store. Closing again does nothing.
func (s *Store) Close() error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.engine.close()
}

func (s *Store) use(fn func() error) error {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return errClosed
	}
	return fn()
}
