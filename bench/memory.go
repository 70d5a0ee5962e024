package main

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const mib = 1 << 20

// idle is the memory of a server that has been asked once.
func (b *bench) idle(ctx context.Context, s *server) (result, error) {
	if _, err := s.client().do(ctx, http.StatusOK, http.MethodGet, "/v2/", http.NoBody, 0, nil, nil); err != nil {
		return result{}, err
	}
	now, err := usageOf(s.processes)
	return result{value: float64(now.memory) / mib, memory: now.memory}, err
}

// parallel is how many push, and how many pull at the same time.
const parallel = 32

func (b *bench) seedForMany(ctx context.Context, s *server) error {
	return s.client().pushBlob(ctx, repo, b.many, 0)
}

// busy is the most memory that a server has while many push and pull.
func (b *bench) busy(ctx context.Context, s *server) (result, error) {
	const size = 8 * mib
	fresh := make([]*blob, parallel)
	for i := range fresh {
		fresh[i] = newBlob(b.pattern, size)
	}
	c := s.client()
	var r result
	most, err := mostMemory(s.processes, func() (err error) {
		r, err = b.repeated(ctx, s, 2*parallel, 1, func(ctx context.Context, w, i int) error {
			switch {
			case w >= parallel:
				return c.pullBlob(ctx, repo, b.many, "")
			case i == 0:
				return c.pushBlob(ctx, repo, fresh[w], 0)
			default:
				return c.pushBlob(ctx, repo, newBlob(b.pattern, size), 0)
			}
		})
		return err
	})
	r.value, r.memory = float64(most)/mib, most
	return r, err
}

// mostMemory is the most memory that processes have while something is done.
func mostMemory(list []*process, do func() error) (int64, error) {
	const pause = 20 * time.Millisecond // reading costs about one
	var (
		most   int64
		failed error
		wait   sync.WaitGroup
	)
	done := make(chan struct{})
	look := func() {
		now, err := usageOf(list)
		most = max(most, now.memory)
		if failed == nil {
			failed = err
		}
	}
	wait.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-done:
				look()
				return
			case <-tick.C:
				look()
			}
		}
	})
	err := do()
	close(done)
	wait.Wait()
	if err != nil {
		return 0, err
	}
	return most, failed
}

// starts starts the server again, the part that clients see: what stands behind it
// goes on. It has started when it gives an answer.
func (b *bench) starts(ctx context.Context, s *server) (result, error) {
	front := s.processes[len(s.processes)-1]
	front.stop()
	begun := time.Now()
	addr, err := front.start() //nolint:contextcheck // it runs on
	if err != nil {
		return result{}, err
	}
	s.base = s.scheme() + addr
	if _, err := s.client().do(ctx, http.StatusOK, http.MethodGet, "/v2/", http.NoBody, 0, nil, nil); err != nil {
		return result{}, err
	}
	took := time.Since(begun)
	now, err := usageOf([]*process{front})
	return result{value: took.Seconds(), cpu: now.cpu, memory: now.memory}, err
}
