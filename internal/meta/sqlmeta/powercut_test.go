package sqlmeta

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
)

// faultyRun makes updates on a disk that fails now and then, and keeps what must
// be true of them after the power went.
type faultyRun struct {
	store  *Store
	disk   *faultDisk
	chance *rand.Rand

	want    map[string]bool // what has to be there, or not to be there
	relaxed []string        // acknowledged, but not yet behind a full one
	unsure  []string        // failed, without another that was acknowledged since
}

// TestPowerCutsAndFaultsAtRandom cuts the power, or kills the process, after
// updates some of which failed.
func TestPowerCutsAndFaultsAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(seed, 1))
			s, disk := openFaulty(t, t.TempDir())
			limitLog(t, s, limits{after: 60, again: 20, long: 200, stuck: 10_000})
			r := &faultyRun{store: s, disk: disk, chance: chance, want: map[string]bool{}}
			for i := range 40 {
				r.step(t, fmt.Sprint("app", i))
			}
			disk.failWith(nil)
			if chance.IntN(4) == 0 {
				checkStore(t, disk.kill(t), r.want)
			}
			checkStore(t, disk.cutPower(t, chance), r.want)
		})
	}
}

// step makes one update; sometimes while a view holds on to the log.
func (r *faultyRun) step(t *testing.T, repo string) {
	t.Helper()
	if r.chance.IntN(4) == 0 {
		defer holdView(t, r.store)()
	}
	r.disk.failWith(r.faults())
	fn := putOne(repo, 1)
	if r.chance.IntN(2) == 0 {
		fn = putLarge(repo)
	}
	if r.chance.IntN(3) == 0 {
		if r.store.UpdateRelaxed(t.Context(), fn) == nil {
			r.relaxed = append(r.relaxed, repo)
			r.settle(false)
			return
		}
		r.unsure = append(r.unsure, repo)
		return
	}
	switch err := r.store.Update(t.Context(), fn); {
	case err == nil:
		r.want[repo] = true
		r.settle(true)
	case errors.Is(err, meta.ErrNoSpace):
		r.want[repo] = false
	default:
		r.unsure = append(r.unsure, repo)
	}
}

// settle: what failed before an update that was acknowledged is gone for good,
// and what was relaxed before a full one is on the disk.
func (r *faultyRun) settle(full bool) {
	for _, repo := range r.unsure {
		r.want[repo] = false
	}
	r.unsure = nil
	if full {
		for _, repo := range r.relaxed {
			r.want[repo] = true
		}
		r.relaxed = nil
	}
}

// faults fails one in some changes and syncs, more often in bad times.
func (r *faultyRun) faults() func(op, name string) error {
	oneIn := []int{0, 0, 200, 40, 5}[r.chance.IntN(5)]
	seed := r.chance.Uint64()
	own := rand.New(rand.NewPCG(seed, 2)) // faultDisk asks under its lock
	return func(op, _ string) error {
		n := oneIn
		if op == "sync" {
			n = min(n, 5)
		}
		switch {
		case n == 0 || own.IntN(n) > 0:
			return nil
		case op == "write" && own.IntN(2) == 0:
			return syscall.ENOSPC
		default:
			return syscall.EIO
		}
	}
}
