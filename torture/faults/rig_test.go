package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/aftermath"
	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/faultfs"
	"github.com/moorgate/moorgate/torture/world"
)

const (
	workers  = 3
	patience = 2 * time.Minute // for what must happen some time
)

// rig is a server on a disk that breaks.
type rig struct {
	owner   *testing.T // whose server it is
	t       *testing.T // whose turn it is
	data    string     // behind the mount point
	mounted *faultfs.FS
	config  string
	server  *testserver.Server
	client  *client.Client
	base    world.Base
	random  *rand.Rand
	breaker *breaker
	workers []*worker // of this turn
	all     []*worker // of all turns
}

func newRig(t *testing.T, random *rand.Rand) *rig {
	t.Helper()
	backing := t.TempDir()
	r := &rig{owner: t, t: t, data: filepath.Join(backing, "data"), config: filepath.Join(t.TempDir(), "moorgate.yaml"), random: random}
	if err := os.WriteFile(r.config, []byte("open: true\nlog: {access: false}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.mounted = faultfs.Mount(t, backing)
	r.start()
	var err error
	if r.base, err = world.PushBase(t.Context(), r.client, "base/images"); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) start() {
	r.t.Helper()
	server, err := testserver.TryStart(r.owner, "--data", filepath.Join(r.mounted.Dir, "data"), "--config", r.config)
	if err != nil {
		r.t.Fatalf("start: %v\n%s", err, server.Log())
	}
	r.server, r.client = server, client.New(r.owner, server.URL)
}

// turn makes the disk one that breaks in the way of how, still whole, and workers
// with repositories of their own.
func (r *rig) turn(t *testing.T, how breaking, load load) {
	t.Helper()
	r.t, r.breaker, r.workers = t, &breaker{breaking: how, root: filepath.Dir(r.data)}, nil
	r.mounted.SetHook(r.breaker.hook)
	for range workers {
		repo := fmt.Sprintf("team%d/app", len(r.all))
		w := &worker{
			Worker: world.NewWorker(repo, r.base, r.random.Uint64()),
			load:   load, random: rand.New(rand.NewPCG(r.random.Uint64(), 0)), breaker: r.breaker,
		}
		r.workers, r.all = append(r.workers, w), append(r.all, w)
	}
}

// together lets do be done by all workers at once, each until it returns true.
func (r *rig) together(what string, do func(ctx context.Context, w *worker) (bool, error)) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var group sync.WaitGroup
	for _, w := range r.workers {
		group.Go(func() {
			for enough := false; !enough; {
				var err error
				enough, err = do(ctx, w)
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					r.t.Errorf("%s: %v", what, err)
					return
				}
			}
		})
	}
	group.Wait()
	if r.t.Failed() {
		r.t.Fatalf("log of the server:\n%s", r.server.Log())
	}
}

// succeed lets each worker do n steps. Steps may fail before the first one that
// does not.
func (r *rig) succeed(what string, n int) {
	r.t.Helper()
	var mu sync.Mutex
	did := map[*worker]int{}
	r.together(what, func(ctx context.Context, w *worker) (bool, error) {
		done, err := w.work(ctx, r.client)
		mu.Lock()
		defer mu.Unlock()
		if done {
			did[w]++
		}
		if !done && did[w] > 0 && err == nil {
			err = errors.New("a step failed on a good disk")
		}
		return did[w] >= n, err
	})
}

// suffer lets each worker do at least n steps, until the disk has failed.
func (r *rig) suffer(what string, n int) {
	r.t.Helper()
	r.breaker.awaited.Store(true)
	r.try(what, n)
}

// try lets each worker do at least n steps, until a failure that is awaited.
func (r *rig) try(what string, n int) {
	r.t.Helper()
	var mu sync.Mutex
	did := map[*worker]int{}
	r.together(what, func(ctx context.Context, w *worker) (bool, error) {
		_, err := w.work(ctx, r.client)
		mu.Lock()
		defer mu.Unlock()
		did[w]++
		return did[w] >= n && !r.breaker.awaited.Load(), err
	})
}

// killed kills the server while the workers work on a broken disk, after the disk
// has failed if failed is true, and starts it again on the good disk.
func (r *rig) killed(failed bool) {
	r.t.Helper()
	var killed atomic.Bool
	r.breaker.awaited.Store(failed)
	r.together("broken and killed", func(ctx context.Context, w *worker) (bool, error) {
		_, err := w.work(ctx, r.client)
		if killed.Load() {
			return true, nil // whatever a client sees of that
		}
		if err == nil && !r.breaker.awaited.Load() && killed.CompareAndSwap(false, true) {
			r.server.Kill()
			return true, nil
		}
		return false, err
	})
	r.breaker.set(off)
	r.start()
	r.together("after a kill", func(ctx context.Context, w *worker) (bool, error) { return true, w.settle(ctx, r.client) })
}

// end stops the server and looks at what it leaves behind.
func (r *rig) end() {
	r.t = r.owner
	if err := r.server.Stop(); err != nil {
		r.t.Fatalf("stop: %v\n%s", err, r.server.Log())
	}
	found, err := aftermath.Check(r.t.Context(), r.data)
	if err != nil {
		r.t.Error(err)
	}
	for _, w := range r.all {
		for d := range w.World.Blobs {
			if !found.Blobs[d] {
				r.t.Errorf("no file for blob %s of %s", d, w.Repo)
			}
		}
	}
}
