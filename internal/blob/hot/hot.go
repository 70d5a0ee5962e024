// Package hot is a blob.Store in front of another one that has small content in
// memory: configs and small layers, which pulls ask for over and over.
//
// It is exact: what was deleted is not served, and only bytes whose hash was found
// to be their digest are. So all who write must go through it, and the store behind
// must belong to one process. Whoever wants to know what is on the disk asks the
// store behind.
package hot

import (
	"context"
	"errors"
	"io"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// Bounds of what is kept, in bytes.
const (
	maxTotal   = 16 << 20 // of all content, the overhead included
	maxContent = 64 << 10 // of one: larger files go out by sendfile as fast
	overhead   = 512      // of an entry besides its content, about
)

// Store keeps small content that was read.
type Store struct {
	blob.Store
	memory *memory
}

var _ blob.Store = (*Store)(nil)

// New returns a Store in front of another one.
func New(behind blob.Store) *Store {
	return &Store{Store: behind, memory: newMemory(maxTotal)}
}

// Open is that of blob.Store. Small content is a blob.InMemory, unless it is
// damaged: that comes from the store behind as it is.
func (s *Store) Open(ctx context.Context, d oci.Digest) (io.ReadSeekCloser, int64, error) {
	all, version, ok := s.memory.get(d)
	if ok {
		return newContent(all), int64(len(all)), nil
	}
	behind, size, err := s.Store.Open(ctx, d)
	if err != nil || size > maxContent {
		return behind, size, err
	}
	all, ok = read(behind, size, d)
	if !ok {
		return again(behind, size)
	}
	_ = behind.Close() // it was only read
	s.memory.keep(d, all, version)
	return newContent(all), size, nil
}

// Delete is that of blob.Store.
func (s *Store) Delete(ctx context.Context, d oci.Digest) error {
	defer s.memory.change(d)()
	s.memory.drop(d)
	return s.Store.Delete(ctx, d)
}

// Upload is that of blob.Store.
func (s *Store) Upload(ctx context.Context, st blob.State) (blob.Upload, error) {
	u, err := s.Store.Upload(ctx, st)
	if err != nil {
		return nil, err
	}
	return &upload{Upload: u, store: s}, nil
}

// upload is one that others must not keep before it is stored.
type upload struct {
	blob.Upload
	store *Store
}

// Commit is that of blob.Upload. It lets nobody keep what they read meanwhile: when
// it fails, that may be gone again.
func (u *upload) Commit(ctx context.Context, d oci.Digest) error {
	defer u.store.memory.change(d)()
	err := u.Upload.Commit(ctx, d)
	if err != nil && !errors.Is(err, blob.ErrMismatch) { // which stores nothing
		u.store.memory.drop(d)
	}
	return err
}
