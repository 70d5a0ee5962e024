package hot

import (
	"context"
	"hash/maphash"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/moorgate/moorgate/internal/oci"
)

// slotCount is how many slots there are. Repositories share them: that costs some
// of what is remembered, never exactness.
const slotCount = 1 << 12

// memory remembers values of one kind.
type memory[V any] struct {
	kept  *otter.Cache[key, entry[V]]
	seed  maphash.Seed
	slots [slotCount]slot
}

type key struct {
	repo string
	ref  oci.Reference
}

// entry is a value as it was in one version of its slot.
type entry[V any] struct {
	value   V
	version uint64
}

// slot tells what is still true of some repositories: what was read in its present
// version, before which all writers had ended. While there are any, nothing is
// remembered, and nobody asks what was: those who look into the store would know
// better.
type slot struct {
	version atomic.Uint64
	writers atomic.Int64
}

// newMemory returns a memory of at most size bytes; weigh gives those of a value.
func newMemory[V any](size uint64, weigh func(V) int) *memory[V] {
	return &memory[V]{seed: maphash.MakeSeed(), kept: otter.Must(&otter.Options[key, entry[V]]{
		MaximumWeight: size,
		Weigher: func(k key, e entry[V]) uint32 {
			return uint32(weigh(e.value) + len(k.repo) + overhead) //nolint:gosec // at most maxManifest and some
		},
	})}
}

func (m *memory[V]) slot(repo string) *slot {
	return &m.slots[maphash.String(m.seed, repo)%slotCount]
}

// read returns what is remembered, or what look finds, which also says whether that
// may be remembered.
func (m *memory[V]) read(ctx context.Context, k key, look func() (V, bool, error)) (V, error) {
	at := m.slot(k.repo)
	version := at.version.Load() // first: a writer counts itself before it makes a new one
	quiet := at.writers.Load() == 0
	if quiet {
		if e, ok := m.kept.GetIfPresent(k); ok && e.version == version {
			return e.value, ctx.Err()
		}
	}
	value, small, err := look()
	if err == nil && quiet && small {
		m.kept.Set(k, entry[V]{value, version})
	}
	return value, err
}
