package authn_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/moorgate/moorgate/internal/authn"
)

func TestLimiterBoundsRunningAndWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const running, waiting = 2, 3
		l := authn.NewLimiter(running, waiting)
		gate := make(chan struct{})
		var now, most atomic.Int64
		hash := func() {
			most.Store(max(most.Load(), now.Add(1)))
			<-gate
			now.Add(-1)
		}
		errs := make(chan error, running+waiting)
		for range running + waiting {
			go func() { errs <- l.Do(t.Context(), hash) }()
		}
		synctest.Wait()
		if got := now.Load(); got != running {
			t.Errorf("%d run; want %d", got, running)
		}
		if err := l.Do(t.Context(), hash); !errors.Is(err, authn.ErrBusy) {
			t.Errorf("one too many: error %v; want ErrBusy", err)
		}
		close(gate)
		for range running + waiting {
			if err := <-errs; err != nil {
				t.Errorf("error %v", err)
			}
		}
		if got := most.Load(); got != running {
			t.Errorf("%d ran at once; want %d", got, running)
		}
		if got := l.Total(); got != running+waiting {
			t.Errorf("total %d; want %d", got, running+waiting)
		}
		if err := l.Do(t.Context(), func() {}); err != nil {
			t.Errorf("after all are gone: %v", err)
		}
	})
}

func TestLimiterWaitEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := authn.NewLimiter(1, 1)
		gate := make(chan struct{})
		go func() { _ = l.Do(t.Context(), func() { <-gate }) }()
		synctest.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan error)
		go func() { waiting <- l.Do(ctx, func() { t.Error("ran after its request ended") }) }()
		synctest.Wait()
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v; want that of the request", err)
		}
		// Its place is free again.
		next := make(chan error)
		go func() { next <- l.Do(t.Context(), func() {}) }()
		synctest.Wait()
		close(gate)
		if err := <-next; err != nil {
			t.Errorf("the next: %v", err)
		}
	})
}

func TestLimiterLetsGoAfterAPanic(t *testing.T) {
	t.Parallel()
	l := authn.NewLimiter(1, 1)
	func() {
		defer func() { _ = recover() }()
		_ = l.Do(t.Context(), func() { panic("a broken hash") })
	}()
	for range 3 {
		if err := l.Do(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
	}
}
