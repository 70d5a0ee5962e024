package disk

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

// failStep lets step number n of a store fail, counted from 0, and no other. Steps
// are syncs and renames.
func failStep(s *Store, n int64) {
	var steps atomic.Int64
	ops := s.ops
	s.ops.sync = func(f *os.File) error {
		if steps.Add(1) == n+1 {
			return syscall.EIO
		}
		return ops.sync(f)
	}
	s.ops.rename = func(from, to string) error {
		if steps.Add(1) == n+1 {
			return syscall.EIO
		}
		return ops.rename(from, to)
	}
}

// TestPushesOfOneBlobOfWhichOneFails lets each step of four pushes at once fail.
// Who was told that the content is stored finds it, then and at the end. Nobody
// here holds the lock that callers have.
func TestPushesOfOneBlobOfWhichOneFails(t *testing.T) {
	t.Parallel()
	const pushes, steps = 4, 1 + 3*4
	content := []byte("content")
	d := oci.SHA256.FromBytes(content)
	for _, before := range []bool{false, true} { // was it stored before?
		for fail := range int64(steps) {
			t.Run(fmt.Sprintf("stored before: %v, step %d", before, fail), func(t *testing.T) {
				t.Parallel()
				s := newStore(t)
				if before {
					blobtest.Put(t, s, content)
				}
				failStep(s, fail)
				var stored atomic.Int64
				var all sync.WaitGroup
				for range pushes {
					u := begin(t, s, blobtest.NewState(oci.SHA256))
					add(t, u, content)
					all.Go(func() {
						switch err := u.Commit(t.Context(), d); {
						case err == nil:
							stored.Add(1)
							wantBlob(t, s, d, content)
						case !errors.Is(err, syscall.EIO):
							t.Error(err)
						}
					})
				}
				all.Wait()
				if n := stored.Load(); n < pushes-1 {
					t.Errorf("only %d of %d pushes succeeded", n, pushes)
				}
				wantBlob(t, s, d, content)
				if len(s.turns.taken) > 0 {
					t.Errorf("%d turns are still taken", len(s.turns.taken))
				}
			})
		}
	}
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(tooLong)
	for !holds() {
		select {
		case <-tick.C:
		case <-giveUp:
			t.Fatalf("it does not come to pass that %s", what)
		}
	}
}

// TestFailedPushRemovesNoOthersFile lets a second push go as far as it gets while
// the first one is about to fail.
func TestFailedPushRemovesNoOthersFile(t *testing.T) {
	t.Parallel()
	content := []byte("content")
	d := oci.SHA256.FromBytes(content)
	for _, at := range []string{"file", "directory"} {
		s := newStore(t)
		first := begin(t, s, blob.State{ID: "first", Algorithm: oci.SHA256})
		add(t, first, content)
		second := begin(t, s, blobtest.NewState(oci.SHA256))
		add(t, second, content)
		names := map[string]string{"file": s.uploadPath("first"), "directory": s.shardDir(d)}
		reached, release := make(chan struct{}), make(chan struct{})
		var failing atomic.Bool
		s.ops.sync = func(f *os.File) error {
			if f.Name() == names[at] && failing.CompareAndSwap(false, true) {
				close(reached)
				<-release
				return syscall.EIO
			}
			return f.Sync()
		}
		commit := func(u *upload) chan error {
			done := make(chan error, 1)
			go func() { done <- u.Commit(t.Context(), d) }()
			return done
		}
		failed := commit(first)
		<-reached
		stored := commit(second)
		await(t, "the second push has ended, or waits", func() bool {
			s.turns.mu.Lock()
			defer s.turns.mu.Unlock()
			return len(stored) > 0 || s.turns.taken[d] != nil && s.turns.taken[d].users == 2
		})
		close(release)
		if err := <-failed; !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: the first push: %v, want EIO", at, err)
		}
		if err := <-stored; err != nil {
			t.Errorf("%s: the second push: %v", at, err)
		}
		wantBlob(t, s, d, content)
	}
}
