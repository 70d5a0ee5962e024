package proxy

import (
	"context"
	"sync"
	"testing"
)

func TestLocksAreSharedOrNot(t *testing.T) {
	t.Parallel()
	var l locks
	one, err := l.acquire(t.Context(), []string{"a", "b", "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	two, err := l.acquire(t.Context(), []string{"b"}, false)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.acquire(ended, []string{"c", "b"}, true); err == nil {
		t.Error("a lock that others hold is taken alone")
	}
	one()
	two()
	alone, err := l.acquire(t.Context(), []string{"b"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.acquire(ended, []string{"b"}, false); err == nil {
		t.Error("a lock that somebody holds alone is shared")
	}
	alone()
	if len(l.named) != 0 {
		t.Errorf("%d locks are left", len(l.named))
	}
}

func TestLocksInAnyOrderDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	var l locks
	var wg sync.WaitGroup
	count := 0 // the race detector watches it
	for i := range 50 {
		names := []string{"a", "b", "c"}
		names[0], names[i%3] = names[i%3], names[0]
		wg.Go(func() {
			release, err := l.acquire(context.Background(), names, true)
			if err != nil {
				t.Error(err)
				return
			}
			count++
			release()
		})
	}
	wg.Wait()
	if count != 50 || len(l.named) != 0 {
		t.Errorf("%d were in, %d locks are left", count, len(l.named))
	}
}
