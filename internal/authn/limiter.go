package authn

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// waitingPerSlot is how many password checks may wait for each that runs, if
// nobody says otherwise: some seconds of work with bcrypt at cost 10.
const waitingPerSlot = 64

// Limiter bounds how many password hashes are computed at once and how many
// wait for their turn, so that logins cannot take the whole machine. All
// sources of a process share one. It may be used at once by many.
type Limiter struct {
	running *semaphore.Weighted
	inside  *semaphore.Weighted // running or waiting
	total   atomic.Uint64
}

// NewLimiter returns a limiter that runs at most running hashes at once while
// at most waiting others wait. Zero or less means the default: as many at once
// as there are processors, and 64 waiting for each.
func NewLimiter(running, waiting int) *Limiter {
	if running <= 0 {
		running = runtime.GOMAXPROCS(0)
	}
	if waiting <= 0 {
		waiting = running * waitingPerSlot
	}
	return &Limiter{
		running: semaphore.NewWeighted(int64(running)),
		inside:  semaphore.NewWeighted(int64(running) + int64(waiting)),
	}
}

// Do runs hash when it is its turn, and returns when hash has returned.
//
// Errors: ErrBusy if too many wait already; the error of ctx if it ends before
// the turn comes. In both cases hash did not run.
func (l *Limiter) Do(ctx context.Context, hash func()) error {
	if !l.inside.TryAcquire(1) {
		return ErrBusy
	}
	defer l.inside.Release(1)
	if err := l.running.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting to check a password: %w", err)
	}
	defer l.running.Release(1)
	l.total.Add(1)
	hash()
	return nil
}

// Total returns how many hashes have been run since the start.
func (l *Limiter) Total() uint64 { return l.total.Load() }
