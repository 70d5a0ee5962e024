package keys

import (
	"sync"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/meta"
)

// maxKnown bounds the memory, in keys.
const maxKnown = 10_000

// entry is a stored key, and what it may, compiled. It is immutable.
type entry struct {
	stored meta.Key
	limits *access.Key
}

// memory has the keys that were used, so that a request with a key asks no database.
// It is exact: who changes a key forgets it here before anybody is told that the
// change is done. So all changes pass here, and the store belongs to one process. The
// zero value is ready.
type memory struct {
	mu      sync.RWMutex
	changes uint64 // so far
	known   map[string]*entry
}

// get returns what is remembered of a key; nil if nothing is. With changes goes what
// is then read from the store into put.
func (m *memory) get(id string) (e *entry, changes uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.known[id], m.changes
}

// put remembers a key, unless something has changed since get.
func (m *memory) put(id string, e *entry, changes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changes != changes {
		return
	}
	if m.known == nil || len(m.known) >= maxKnown { // whoever has so many reads some again
		m.known = make(map[string]*entry)
	}
	m.known[id] = e
}

func (m *memory) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes++
	delete(m.known, id)
}
