package gc

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

func (w *world) wantSwept(t *testing.T, texts ...string) {
	t.Helper()
	freed, err := w.Sweep(t.Context())
	if err != nil {
		t.Error(err)
	}
	w.compare(t, freed, texts)
}

func TestASweepFindsWhatACutPushHasLeft(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		w.lose(t, "lost")
		w.push(t, "held", "a")
		deleted := w.push(t, "deleted", "a")
		w.wantSwept(t) // a push may be about to link it
		w.pass(grace + time.Minute)
		w.remove(t, deleted, "a")
		w.wantSwept(t, "lost")
		w.wantSwept(t)
		w.wantRead(t, "a", "held")
		w.wantFreed(t)
		w.pass(grace)
		w.wantSwept(t) // what is on the queue is the business of others
		w.wantFreed(t, "deleted")
	})
}

func TestASweepHeedsWhatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		w.lose(t, "lost")
		w.pass(2 * grace)
		w.meta.beforeLock = func() { w.push(t, "lost", "a") }
		w.wantSwept(t)
		w.wantRead(t, "a", "lost")
	})
}

func TestASweepOnAFullDiskFreesSpace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openSQLite(t))
	w.lose(t, "one")
	w.lose(t, "two")
	w.pass(2 * grace)
	w.meta.full = true
	freed, err := w.Sweep(t.Context())
	if !errors.Is(err, meta.ErrNoSpace) {
		t.Errorf("error %v, want %v", err, meta.ErrNoSpace)
	}
	w.compare(t, freed, []string{"one", "two"})
}

func TestASweepOfManyCanBeEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openSQLite(t))
	for i := range 2*batch + batch/2 {
		w.lose(t, fmt.Sprint("lost ", i))
	}
	w.pass(2 * grace)
	ctx, stop := context.WithCancel(t.Context())
	w.opts.Pause = time.Hour // reached after the first batch
	w.meta.afterUpdate = stop
	freed, err := w.Sweep(ctx)
	if !errors.Is(err, context.Canceled) || freed.Blobs > batch {
		t.Errorf("freed %+v after the end; error %v, want %v", freed, err, context.Canceled)
	}
	w.opts.Pause = time.Nanosecond
	rest, err := w.Sweep(t.Context())
	if err != nil || freed.Blobs+rest.Blobs != 2*batch+batch/2 {
		t.Errorf("freed %+v and then %+v of %d: %v", freed, rest, 2*batch+batch/2, err)
	}
}
