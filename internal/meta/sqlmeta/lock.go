package sqlmeta

import (
	"context"
	"sync"

	"github.com/moorgate/moorgate/internal/oci"
)

// keyLocks is one lock for each digest, within this process. The zero value is
// ready to use.
type keyLocks struct {
	mu   sync.Mutex
	keys map[oci.Digest]*keyLock // those that somebody holds or waits for
}

type keyLock struct {
	held  chan struct{} // has room for one: the holder
	users int           // holder and waiters; guarded by keyLocks.mu
}

// lock waits until nobody else holds d. The error is that of ctx.
func (l *keyLocks) lock(ctx context.Context, d oci.Digest) (unlock func(), err error) {
	k := l.join(d)
	select {
	case k.held <- struct{}{}:
		return func() {
			<-k.held
			l.leave(d, k)
		}, nil
	case <-ctx.Done():
		l.leave(d, k)
		return nil, ctx.Err()
	}
}

func (l *keyLocks) join(d oci.Digest) *keyLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.keys[d]
	if !ok {
		if l.keys == nil {
			l.keys = make(map[oci.Digest]*keyLock)
		}
		k = &keyLock{held: make(chan struct{}, 1)}
		l.keys[d] = k
	}
	k.users++
	return k
}

func (l *keyLocks) leave(d oci.Digest, k *keyLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.keys, d)
	}
}
