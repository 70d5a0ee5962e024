package faults

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
)

// TestABrokenDiskLosesNothingAcknowledged breaks the disk in each of the ways: for
// a moment, for good, and when the server is killed. It goes on with other seeds
// for as long as client.Long says.
func TestABrokenDiskLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	seed := client.Seed(t)
	end := time.Now().Add(client.Long(t, 0))
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { breakAll(t, seed) })
		seed = rand.New(rand.NewPCG(uint64(seed), 1)).Int64()
	}
}

func breakAll(t *testing.T, seed int64) {
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			r := newRig(t, random)
			for _, way := range group.ways {
				whole := t.Run(way.name, func(t *testing.T) {
					r.turn(t, way.breaking, group.load)
					r.suffers(!way.stuck && (client.Full(t) || !group.slow), way.stuck)
					r.told(!way.quiet)
				})
				if !whole {
					r = newRig(t, random) // what it holds now is not known
				}
			}
			r.end()
		})
	}
}

// suffers breaks the disk for a moment, for good, and when the server is killed.
// Only what must always be seen is waited for unless all is true.
func (r *rig) suffers(all, stuck bool) {
	again := r.succeed
	if stuck {
		again = r.try
	}
	r.succeed("before", 2)
	steps := 1
	if all {
		steps = 3
		r.breaker.set(once)
		r.suffer("broken for a moment", 1)
		r.succeed("after a moment", 1)
	}
	r.breaker.set(forever)
	r.suffer("broken", steps)
	r.breaker.set(off)
	again("mended", 2)
	r.breaker.set(forever)
	r.killed(all)
	r.succeed("after a kill", 1)
}

// told fails the test unless clients were told that the disk has failed, if they
// must be.
func (r *rig) told(must bool) {
	refused := 0
	for _, w := range r.workers {
		refused += w.refused
	}
	if failed := r.breaker.failed.Load(); must && refused == 0 {
		r.t.Errorf("the disk failed %d times, and all steps were acknowledged", failed)
	}
}
