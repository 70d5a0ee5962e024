// Package hot is a meta.Store in front of another one that remembers what pulls ask
// for over and over: manifests, and which blobs a repository holds.
//
// It is exact: whoever reads sees what the store behind would have answered. So all
// who write must go through it, and the store behind must belong to one process.
package hot

import (
	"context"
	"sync"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Bounds of what is remembered.
const (
	manifestBytes = 16 << 20 // of all manifests
	maxManifest   = 64 << 10 // of one: larger ones are rare, and would push out many
	blobBytes     = 4 << 20  // of all that is known of blobs
	overhead      = 512      // bytes of an entry besides its manifest, about
)

// Store remembers manifests and the sizes of blobs. It is a meta.ManifestReader and
// a meta.BlobReader.
type Store struct {
	meta.Store
	manifests *memory[meta.Manifest]
	blobs     *memory[int64] // those that are there: only an unlink changes that
}

// New returns a Store in front of another one.
func New(behind meta.Store) *Store {
	return &Store{
		Store:     behind,
		manifests: newMemory(manifestBytes, func(m meta.Manifest) int { return len(m.Body) }),
		blobs:     newMemory(blobBytes, func(int64) int { return 0 }),
	}
}

// ReadManifest implements meta.ManifestReader. Its Body and Annotations are shared.
func (s *Store) ReadManifest(ctx context.Context, repo string, ref oci.Reference) (meta.Manifest, error) {
	return s.manifests.read(ctx, key{repo, ref}, func() (meta.Manifest, bool, error) {
		m, err := meta.ReadManifest(ctx, s.Store, repo, ref)
		return m, len(m.Body) <= maxManifest, err
	})
}

// ReadBlobSize implements meta.BlobReader.
func (s *Store) ReadBlobSize(ctx context.Context, repo string, d oci.Digest) (int64, error) {
	return s.blobs.read(ctx, key{repo, oci.Reference{Digest: d}}, func() (int64, bool, error) {
		size, err := meta.ReadBlobSize(ctx, s.Store, repo, d)
		return size, true, err
	})
}

// Update implements meta.Store.
func (s *Store) Update(ctx context.Context, fn func(meta.Tx) error) error {
	return s.write(ctx, s.Store.Update, fn)
}

// UpdateRelaxed implements meta.Store.
func (s *Store) UpdateRelaxed(ctx context.Context, fn func(meta.Tx) error) error {
	return s.write(ctx, s.Store.UpdateRelaxed, fn)
}

func (s *Store) write(ctx context.Context, update func(context.Context, func(meta.Tx) error) error, fn func(meta.Tx) error) error {
	w := &writer{store: s}
	defer w.end()
	return update(ctx, func(tx meta.Tx) error { return fn(&watched{tx, w}) })
}

// writer is one update, of which others must not remember what it changes.
type writer struct {
	store *Store

	mu      sync.Mutex // an update may run on another goroutine
	touched map[*slot]struct{}
}

// touch begins to change something that at is about.
func (w *writer) touch(at *slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.touched[at]; ok {
		return
	}
	if w.touched == nil {
		w.touched = map[*slot]struct{}{}
	}
	w.touched[at] = struct{}{}
	at.writers.Add(1)
	at.version.Add(1)
}

// end is when the changes are visible to all, or will never be.
func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at := range w.touched {
		at.writers.Add(-1)
	}
}
