package metatest

import (
	"context"
	"errors"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
)

func lockTests() []test {
	return []test{
		{"blob lock is held by one at a time", lockExcludes},
		{"blob locks of different blobs are apart", lockApart},
		{"blob lock is not waited for when the context ends", lockCancelled},
		{"blob lock does not stop transactions", lockAndUpdate},
	}
}

func lockExcludes(t *testing.T, s meta.Store) {
	counter := 0 // the race detector sees whether the lock works
	together(t, 16, func(int) error {
		for range 10 {
			unlock, err := s.LockBlob(t.Context(), digest(1))
			if err != nil {
				return err
			}
			counter++
			unlock()
			unlock() // does nothing
		}
		return nil
	})
	if counter != 160 {
		t.Errorf("counted to %d, want 160", counter)
	}
}

func lockApart(t *testing.T, s meta.Store) {
	for _, d := range digests(10) {
		unlock, err := s.LockBlob(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
	}
}

func lockCancelled(t *testing.T, s meta.Store) {
	unlock, err := s.LockBlob(t.Context(), digest(1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.LockBlob(ctx, digest(1))
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("LockBlob came back while the lock was held: %v", err)
	default:
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	unlock()
	again, err := s.LockBlob(t.Context(), digest(1))
	if err != nil {
		t.Fatalf("the lock is not free again: %v", err)
	}
	again()
}

func lockAndUpdate(t *testing.T, s meta.Store) {
	unlock, err := s.LockBlob(t.Context(), digest(1))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", digest(1), 1, now()) })
	wantAnswer(t, s, "size", 1, blobSize("app", digest(1)))
}
