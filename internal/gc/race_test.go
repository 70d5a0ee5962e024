package gc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/hot"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// race is pushes, mounts, reads, deletes and looks at the same blob, all at once.
type race struct {
	*world
	text   string
	digest oci.Digest
	before func() // of a look; nil: nothing
}

const (
	raceRounds = 20              // of each race, at least
	raceLimit  = 2 * time.Minute // to see each side win, on a busy machine
)

func newRace(w *world, text string) *race {
	// No grace, and links in memory, as the program has them.
	w.Registry = registry.New(w.disk, hot.New(w.meta), registry.Options{})
	w.opts.FreeAfter, w.opts.Now = 0, time.Now
	return &race{world: w, text: text, digest: oci.SHA256.FromString(text)}
}

// TestAcknowledgedContentIsThere lets all race for a while: pushed or mounted, the
// content of a link is there until the repository lets go.
func TestAcknowledgedContentIsThere(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		r := newRace(w, strings.Repeat("layer", 2000))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var workers, others sync.WaitGroup
		for i := range 3 {
			workers.Go(func() {
				for n := range raceRounds {
					r.pushOrMount(ctx, t, fmt.Sprint("repo", i), n)
				}
			})
		}
		others.Go(func() {
			for ctx.Err() == nil {
				r.clean(ctx, t, r.Once)
				r.clean(ctx, t, r.Sweep)
			}
		})
		others.Go(func() {
			for ctx.Err() == nil {
				r.readOfOthers(ctx, t)
			}
		})
		workers.Wait()
		stop()
		others.Wait()
		r.wantNothingLeft(t)
	})
}

// TestPushAndRemovalOfTheSame lets nobody hold a blob whose review is due: a push
// of it comes before the removal, or after it.
func TestPushAndRemovalOfTheSame(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		r := newRace(w, "layer")
		w.lose(t, r.text)
		r.rounds(t, func(n int) (removed bool) {
			freed := r.against(t, n, func() { w.push(t, r.text, "a") })
			w.wantRead(t, "a", r.text)
			w.remove(t, r.digest, "a")
			return freed.Blobs > 0
		})
		r.wantNothingLeft(t)
	})
}

// TestMountAndRemovalOfTheSame lets the last holder go, and the content with it, or
// a mount be in time.
func TestMountAndRemovalOfTheSame(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		r := newRace(w, "layer")
		r.rounds(t, func(n int) (removed bool) {
			w.push(t, r.text, "source")
			var mounted bool
			r.before = func() { w.remove(t, r.digest, "source") }
			freed := r.against(t, n, func() {
				var err error
				if mounted, err = w.Mount(t.Context(), "a", r.digest, "source", anything); err != nil {
					t.Errorf("mount: %v", err)
				}
			})
			if mounted == (freed.Blobs > 0) {
				t.Errorf("mounted %t, freed %+v: want one of them", mounted, freed)
			}
			if mounted {
				w.wantRead(t, "a", r.text)
				w.remove(t, r.digest, "a")
			}
			return !mounted
		})
		r.wantNothingLeft(t)
	})
}

// rounds repeats a race until each side has won some times; on a machine that is
// busy, once is enough.
func (r *race) rounds(t *testing.T, once func(n int) (removed bool)) {
	t.Helper()
	late, done := context.WithTimeout(t.Context(), raceLimit)
	defer done()
	removed, kept := 0, 0
	for n := 0; n < raceRounds || removed < 2 || kept < 2; n++ {
		if once(n) {
			removed++
		} else {
			kept++
		}
		if late.Err() == nil {
			continue
		}
		if removed == 0 || kept == 0 {
			t.Fatalf("removed %d times, kept %d: that shows too little", removed, kept)
		}
		return
	}
}

// against runs fn and a look at once. In some rounds the one is held up a bit, in
// some the other, so that each is in time now and then.
func (r *race) against(t *testing.T, n int, fn func()) (freed Freed) {
	t.Helper()
	var both sync.WaitGroup
	begin := make(chan struct{})
	both.Go(func() {
		<-begin
		r.holdUp(t, n%4)
		fn()
	})
	both.Go(func() {
		<-begin
		if r.before != nil {
			r.holdUp(t, n/4%4) // else what comes before is always first
			r.before()
		}
		r.holdUp(t, n/4%4)
		var err error
		if freed, err = r.Once(t.Context()); err != nil {
			t.Errorf("look: %v", err)
		}
	})
	close(begin)
	both.Wait()
	return freed
}

// holdUp asks the database things that nobody wants to know.
func (r *race) holdUp(t *testing.T, times int) {
	for range times * times {
		if _, err := r.due(t.Context(), time.Time{}, meta.Review{}); err != nil {
			t.Error(err)
		}
	}
}

func (r *race) wantNothingLeft(t *testing.T) {
	t.Helper()
	if _, err := r.Once(t.Context()); err != nil {
		t.Error(err)
	}
	if n := r.files(t) + r.queue(t); n != 0 {
		t.Errorf("%d files and reviews are left", n)
	}
}

// pushOrMount lets a repository of its own hold the blob for a while.
func (r *race) pushOrMount(ctx context.Context, t *testing.T, repo string, n int) {
	mounted := false
	var err error
	if n%2 == 1 {
		mounted, err = r.Mount(ctx, repo, r.digest, "", anything)
	}
	if err == nil && !mounted {
		err = r.PushBlob(ctx, repo, r.digest, int64(len(r.text)), strings.NewReader(r.text))
	}
	if err != nil {
		t.Errorf("push or mount: %v", err)
		return
	}
	if got, err := r.read(ctx, repo, r.digest); got != r.text || err != nil {
		t.Errorf("mounted %t, acknowledged, and then it has %d bytes: %v", mounted, len(got), err)
	}
	if err := r.DeleteBlob(ctx, repo, r.digest, anything); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func (r *race) clean(ctx context.Context, t *testing.T, look func(context.Context) (Freed, error)) {
	if _, err := look(ctx); err != nil && ctx.Err() == nil {
		t.Errorf("look: %v", err)
	}
}

// readOfOthers finds the whole blob, or none; never a link without its content.
func (r *race) readOfOthers(ctx context.Context, t *testing.T) {
	got, err := r.read(ctx, "repo0", r.digest)
	if (err != nil || got != r.text) && !errors.Is(err, oci.ErrBlobUnknown) && ctx.Err() == nil {
		t.Errorf("read %d bytes: %v", len(got), err)
	}
}
