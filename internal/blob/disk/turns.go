package disk

import (
	"sync"

	"github.com/moorgate/moorgate/internal/oci"
)

// turns let one at a time change what is stored under a digest. The callers have
// the lock of the digest anyway (meta.Store.LockBlob); but a commit that fails
// removes a file, and should that lock fail it must not be one that another commit
// has put there.
type turns struct {
	mu    sync.Mutex
	taken map[oci.Digest]*turn
}

type turn struct {
	mu    sync.Mutex
	users int // who has it, and who waits for it
}

// take waits for the turn of the caller.
func (t *turns) take(d oci.Digest) (release func()) {
	t.mu.Lock()
	at := t.taken[d]
	if at == nil {
		at = &turn{}
		t.taken[d] = at
	}
	at.users++
	t.mu.Unlock()
	at.mu.Lock()
	return func() { t.release(d, at) }
}

func (t *turns) release(d oci.Digest, at *turn) {
	at.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.users--; at.users == 0 {
		delete(t.taken, d)
	}
}
