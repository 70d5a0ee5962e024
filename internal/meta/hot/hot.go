// Package hot is a meta.Store in front of another one that remembers the manifests
// that are read over and over.
//
// It is exact: whoever reads sees what the store behind would have answered. So all
// who write must go through it, and the store behind must belong to one process.
package hot

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Bounds of what is remembered.
const (
	maxBytes    = 16 << 20 // of all manifests
	maxManifest = 64 << 10 // of one: larger ones are rare, and would push out many
	overhead    = 512      // bytes of an entry besides its manifest, about
)

// slotCount is how many slots there are. Repositories share them: that costs some
// of what is remembered, never exactness.
const slotCount = 1 << 12

// Store remembers manifests. It is a meta.ManifestReader.
type Store struct {
	meta.Store
	kept  *otter.Cache[key, entry]
	seed  maphash.Seed
	slots [slotCount]slot
}

type key struct {
	repo string
	ref  oci.Reference
}

// entry is a manifest as it was in one version of its slot.
type entry struct {
	manifest meta.Manifest
	version  uint64
}

// slot tells what is still true of some repositories: what was read in its present
// version, before which all writers had ended. While there are any, nothing is
// remembered, and nobody asks what was: those who look into the store would know
// better.
type slot struct {
	version atomic.Uint64
	writers atomic.Int64
}

// New returns a Store in front of another one.
func New(behind meta.Store) *Store {
	return &Store{Store: behind, seed: maphash.MakeSeed(), kept: otter.Must(&otter.Options[key, entry]{
		MaximumWeight: maxBytes,
		Weigher: func(k key, e entry) uint32 {
			return uint32(len(e.manifest.Body) + len(k.repo) + overhead) //nolint:gosec // at most maxManifest and some
		},
	})}
}

func (s *Store) slot(repo string) *slot {
	return &s.slots[maphash.String(s.seed, repo)%slotCount]
}

// ReadManifest implements meta.ManifestReader. Its Body and Annotations are shared.
func (s *Store) ReadManifest(ctx context.Context, repo string, ref oci.Reference) (meta.Manifest, error) {
	at, k := s.slot(repo), key{repo, ref}
	version := at.version.Load() // first: a writer counts itself before it makes a new one
	quiet := at.writers.Load() == 0
	if quiet {
		if e, ok := s.kept.GetIfPresent(k); ok && e.version == version {
			return e.manifest, ctx.Err()
		}
	}
	m, err := meta.ReadManifest(ctx, s.Store, repo, ref)
	if err == nil && quiet && len(m.Body) <= maxManifest {
		s.kept.Set(k, entry{m, version})
	}
	return m, err
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

// touch begins to change something in a repository.
func (w *writer) touch(repo string) {
	at := w.store.slot(repo)
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
