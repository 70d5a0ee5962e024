package sqlmeta

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// has reports in a View whether a repository exists.
func has(t *testing.T, s *Store, repo string) bool {
	t.Helper()
	var ok bool
	err := s.View(context.Background(), func(tx meta.Tx) (err error) {
		ok, err = tx.HasRepository(repo)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return ok
}

// holdWriter keeps the writer busy until release is called.
func holdWriter(s *Store, fn func(meta.Tx) error) (release func() error) {
	hold, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.Update(context.Background(), func(tx meta.Tx) error {
			<-hold
			return fn(tx)
		})
	}()
	synctest.Wait()
	return func() error {
		close(hold)
		return <-ended
	}
}

func nothing(meta.Tx) error { return nil }

func TestWaitingUpdatesShareACommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSQLite(t, dir+"/meta.db")
		release := holdWriter(s, putOne("first", 0))
		const n = maxBatch - 2
		ended := make(chan error, n+1)
		for i := range n {
			go func() { ended <- s.Update(context.Background(), putOne(fmt.Sprint("app", i), i)) }()
		}
		synctest.Wait()
		go func() {
			ended <- s.Update(context.Background(), func(meta.Tx) error {
				// Others wait since before; none of them is committed yet.
				if has(t, s, "first") || has(t, s, "app0") {
					t.Error("updates that waited were committed before the last of them")
				}
				return nil
			})
		}()
		synctest.Wait()
		if err := release(); err != nil {
			t.Error(err)
		}
		for range n + 1 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if !has(t, s, "first") || !has(t, s, fmt.Sprint("app", n-1)) {
			t.Error("an update is not there after its commit")
		}
	})
}

func TestUpdateIsDroppedWhenItsContextEndsWhileItWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSQLite(t, dir+"/meta.db")
		release := holdWriter(s, nothing)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Update(ctx, putOne("app", 1)) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
		if has(t, s, "app") {
			t.Error("the update ran")
		}
	})
}

func TestUpdateThatStartedTakesItsOutcome(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx meta.Tx) error {
		cancel()
		return putOne("app", 1)(tx)
	})
	if err != nil || !has(t, s, "app") {
		t.Errorf("error %v, update is there: %v; want it done", err, has(t, s, "app"))
	}
}

func TestRelaxedUpdatesDoNotMakeOthersRelaxed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSQLite(t, dir+"/meta.db")
		level := func(want int) func(meta.Tx) error {
			return func(tx meta.Tx) error { return wantSynchronous(tx, want) }
		}
		const normal, full = 1, 2
		// The transaction has begun as a relaxed one when a full one comes.
		started, hold := make(chan struct{}), make(chan struct{})
		ended := make(chan error, 3)
		go func() {
			ended <- s.UpdateRelaxed(context.Background(), func(tx meta.Tx) error {
				close(started)
				<-hold
				return level(normal)(tx)
			})
		}()
		<-started
		go func() { ended <- s.Update(context.Background(), level(full)) }()
		synctest.Wait()
		// With a full one, a relaxed one is full too.
		go func() { ended <- s.UpdateRelaxed(context.Background(), level(full)) }()
		synctest.Wait()
		close(hold)
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := s.UpdateRelaxed(context.Background(), level(normal)); err != nil {
			t.Error(err)
		}
	})
}

func wantSynchronous(t meta.Tx, want int) error {
	var got int
	err := t.(*tx).q.(*session).conn.QueryRowContext(context.Background(), "PRAGMA synchronous").Scan(&got)
	if err == nil && got != want {
		err = fmt.Errorf("synchronous is %d, want %d", got, want)
	}
	return err
}

func TestOneUpdateOnAFullDiskDoesNotHarmTheOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSQLite(t, dir+"/meta.db")
		if _, err := s.engine.(*sqliteEngine).writer.session.conn.ExecContext(context.Background(), "PRAGMA max_page_count = 100"); err != nil {
			t.Fatal(err)
		}
		release := holdWriter(s, putOne("first", 0))
		const n = 8
		errs := make([]chan error, n)
		for i := range n {
			errs[i] = make(chan error, 1)
			go func() {
				errs[i] <- s.Update(context.Background(), func(tx meta.Tx) error {
					size := 10
					if i == n/2 {
						size = 1 << 20
					}
					m := meta.Manifest{Digest: oci.SHA256.FromString(fmt.Sprint(i)), Body: make([]byte, size)}
					return tx.PutManifest(fmt.Sprint("app", i), m, nil)
				})
			}()
		}
		synctest.Wait()
		if err := release(); err != nil {
			t.Errorf("the first update: %v", err)
		}
		for i := range n {
			if err := <-errs[i]; errors.Is(err, meta.ErrNoSpace) != (i == n/2) || (err == nil) != (i != n/2) {
				t.Errorf("update %d: %v", i, err)
			}
			if has(t, s, fmt.Sprint("app", i)) != (i != n/2) {
				t.Errorf("update %d is there: %v", i, i == n/2)
			}
		}
		if !has(t, s, "first") {
			t.Error("the first update is lost")
		}
	})
}

func TestCloseEndsAllGoroutines(t *testing.T) { //nolint:paralleltest // counts goroutines by their stacks
	s := newSQLite(t)
	put(t, s, "app", 1)
	has(t, s, "app")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if strings.Contains(string(stacks), "(*writer).loop") {
		t.Errorf("the writer still runs:\n%s", stacks)
	}
}

func TestKeyLocksForgetWhatNobodyUses(t *testing.T) {
	t.Parallel()
	var l keyLocks
	d := oci.SHA256.FromString("x")
	unlock, err := l.lock(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.lock(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if len(l.keys) != 1 {
		t.Errorf("%d locks are kept while one is held", len(l.keys))
	}
	unlock()
	if len(l.keys) != 0 {
		t.Errorf("%d locks are kept, want none", len(l.keys))
	}
}
