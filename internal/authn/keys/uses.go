package keys

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

const (
	// writeEvery is how often the last uses are written: what a crash forgets.
	writeEvery = time.Minute

	// perWrite bounds how many uses one transaction writes, which others wait for.
	perWrite = 500

	// sweepEvery is how often keys go that expired long ago, or whose owner is gone.
	sweepEvery = time.Hour

	// keptExpired is for how long an expired key is still listed.
	keptExpired = 30 * 24 * time.Hour

	// stopTimeout bounds the last write.
	stopTimeout = 5 * time.Second
)

// uses are the last uses that are not written yet. The zero value is ready.
type uses struct {
	mu sync.Mutex
	at map[string]time.Time // by the ID of the key
}

func (u *uses) note(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at == nil {
		u.at = make(map[string]time.Time)
	}
	if at.After(u.at[id]) {
		u.at[id] = at
	}
}

// last returns a use that is not written yet; zero if there is none.
func (u *uses) last(id string) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[id]
}

// all returns a copy.
func (u *uses) all() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.at)
}

// written forgets a use, unless there was a later one.
func (u *uses) written(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at[id].Equal(at) {
		delete(u.at, id)
	}
}

// Flush writes the last uses of keys, as it is done once a minute. What cannot be
// written stays for the next time.
func (k *Keys) Flush(ctx context.Context) error {
	waiting := k.uses.all()
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(waiting)), perWrite) {
		err := k.Meta.UpdateRelaxed(ctx, func(tx meta.Tx) error {
			for _, id := range ids {
				if err := tx.NoteKeyUse(id, waiting[id]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			k.uses.written(id, waiting[id])
		}
	}
	return nil
}

// Sweep removes keys that expired long ago, and those whose owner is gone.
func (k *Keys) Sweep(ctx context.Context) error {
	for {
		n := 0
		err := k.Meta.UpdateRelaxed(ctx, func(tx meta.Tx) (err error) {
			n, err = tx.DeleteExpiredKeys(k.now().Add(-keptExpired), perWrite)
			return err
		})
		if err != nil {
			return err
		}
		if n < perWrite {
			return k.sweepOwners(ctx)
		}
	}
}

// Run writes the last uses of keys and removes old ones, until ctx ends. What fails is
// logged and tried again.
func (k *Keys) Run(ctx context.Context) {
	write, sweep := time.NewTicker(writeEvery), time.NewTicker(sweepEvery)
	defer write.Stop()
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-write.C:
			err = k.Flush(ctx)
		case <-sweep.C:
			err = k.Sweep(ctx)
		case <-ctx.Done():
			return
		}
		if err != nil && ctx.Err() == nil {
			k.Log.ErrorContext(ctx, "cannot look after the keys", "err", err)
		}
	}
}

// Close writes the last uses for the last time.
func (k *Keys) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return k.Flush(ctx)
}
