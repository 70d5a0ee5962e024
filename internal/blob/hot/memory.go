package hot

import (
	"container/list"
	"hash/maphash"
	"sync"

	"github.com/moorgate/moorgate/internal/oci"
)

// slotCount is how many slots there are. Digests share them: that costs some of
// what is kept, never exactness.
const slotCount = 1 << 10

// memory is content of at most limit bytes; what was not asked for the longest goes
// first.
type memory struct {
	limit int
	seed  maphash.Seed

	mu    sync.Mutex
	kept  map[oci.Digest]*list.Element // of *entry
	order list.List                    // the last one asked for is in front
	size  int                          // bytes, as weight counts them
	slots [slotCount]slot
}

type entry struct {
	digest oci.Digest
	all    []byte
}

func (e *entry) weight() int { return len(e.all) + overhead }

// slot tells whether what was read of some digests is still true: if it was read in
// the present version, and nobody is about to change it.
type slot struct {
	version  uint64 // another one when a change begins, and when it ends
	changing int    // changes under way
}

func newMemory(limit int) *memory {
	return &memory{limit: limit, seed: maphash.MakeSeed(), kept: map[oci.Digest]*list.Element{}}
}

func (m *memory) slot(d oci.Digest) *slot {
	return &m.slots[maphash.String(m.seed, string(d))%slotCount]
}

// get returns the content of d. If it is not there it returns the version in which
// whoever wants to keep it must begin to read it.
func (m *memory) get(d oci.Digest) (all []byte, version uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.kept[d]
	if !ok {
		return nil, m.slot(d).version, false
	}
	m.order.MoveToFront(at)
	return at.Value.(*entry).all, 0, true //nolint:forcetypeassert // the list holds nothing else
}

// keep takes content that was read from the version on and has the digest d.
func (m *memory) keep(d oci.Digest, all []byte, version uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := m.slot(d); at.changing > 0 || at.version != version {
		return
	}
	m.remove(m.kept[d]) // of somebody who read it at the same time
	e := &entry{d, all}
	for m.size+e.weight() > m.limit && m.order.Len() > 0 {
		m.remove(m.order.Back())
	}
	m.kept[d] = m.order.PushFront(e)
	m.size += e.weight()
}

// change begins to change what is stored under d: what is read until end is called
// is not kept.
func (m *memory) change(d oci.Digest) (end func()) {
	m.count(d, 1)
	return func() { m.count(d, -1) }
}

func (m *memory) count(d oci.Digest, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.slot(d)
	at.version++
	at.changing += n
}

// drop forgets d. So that it stays forgotten, a change of d is under way.
func (m *memory) drop(d oci.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(m.kept[d])
}

// remove takes an element of the list, or nil, out. The caller holds m.mu.
func (m *memory) remove(at *list.Element) {
	if at == nil {
		return
	}
	e := m.order.Remove(at).(*entry) //nolint:forcetypeassert // the list holds nothing else
	delete(m.kept, e.digest)
	m.size -= e.weight()
}
