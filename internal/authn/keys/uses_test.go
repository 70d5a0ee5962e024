package keys_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/keys"
)

// TestUseIsNotedWithoutAWrite: a thousand requests cost no write, and one read.
func TestUseIsNotedWithoutAWrite(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, robot("ci"))
	if e := f.entry(t, made.ID); !e.Used.IsZero() {
		t.Errorf("it was used at %s before it was used", e.Used)
	}
	views, full, relaxed := f.store.views.Load(), f.store.full.Load(), f.store.relaxed.Load()
	for range 1000 {
		f.advance(time.Second)
		f.works(t, "again", "ci", made.Secret)
	}
	if v, w := f.store.views.Load()-views, f.store.full.Load()+f.store.relaxed.Load()-full-relaxed; v != 1 || w != 0 {
		t.Errorf("%d reads and %d writes, want 1 and 0", v, w)
	}
	last := f.clock()
	if e := f.entry(t, made.ID); !e.Used.Equal(last) {
		t.Errorf("it was used at %s, want %s", e.Used, last)
	}
	f.advance(time.Hour)
	f.refused(t, "another name", "mallory", made.Secret, "for no other")
	if e := f.entry(t, made.ID); !e.Used.Equal(last) {
		t.Errorf("it was used at %s: who was refused has not used it", e.Used)
	}
	for range 3 {
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.store.relaxed.Load() - relaxed; got != 1 {
		t.Errorf("%d writes for one use, want 1", got)
	}
	f.reopen(t)
	if e := f.entry(t, made.ID); !e.Used.Equal(last) {
		t.Errorf("after a restart it was used at %s, want %s", e.Used, last)
	}
}

// TestUsesAreWrittenAtTheEnd: of many keys, and without waiting for a minute.
func TestUsesAreWrittenAtTheEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var all []keys.Made
	for i := range 12 {
		all = append(all, f.create(t, robot(fmt.Sprint("ci", i))))
	}
	for i, made := range all {
		f.works(t, "one of many", fmt.Sprint("ci", i), made.Secret)
	}
	f.reopen(t)
	for _, made := range all {
		if f.entry(t, made.ID).Used.IsZero() {
			t.Errorf("%s was not used", made.Name)
		}
	}
}

// TestUsesAreWrittenEachMinute runs the clock of the process.
func TestUsesAreWrittenEachMinute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, robot("ci"))
	f.works(t, "once", "ci", made.Secret)
	before := f.store.relaxed.Load()
	f.store.updateErr = errors.New("no database in this test") // its goroutines are outside
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { defer close(done); f.Run(ctx) }()
		time.Sleep(3*time.Minute + time.Second)
		cancel()
		<-done
	})
	f.store.updateErr = nil
	if got := f.store.relaxed.Load() - before; got != 3 {
		t.Errorf("%d tries in three minutes, want 3", got)
	}
}

// TestRevokedAtOnce: no use that begins after the end of Revoke succeeds, whatever
// else goes on.
func TestRevokedAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for round := range 20 {
		made := f.create(t, robot("ci"))
		var all sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, _ = f.VerifyPassword(t.Context(), "ci", made.Secret) // either answer is right
					}
				}
			})
		}
		all.Go(func() { _, _ = f.Rotate(t.Context(), keys.Ref{Key: made.ID}, time.Hour, nil) })
		if _, err := f.Revoke(t.Context(), keys.Ref{Key: made.ID}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := f.VerifyPassword(t.Context(), "ci", made.Secret); !errors.Is(err, authn.ErrWrongPassword) {
				t.Errorf("round %d: after it was revoked: %v", round, err)
			}
		}
		close(stop)
		all.Wait()
		if _, err := f.VerifyPassword(t.Context(), "ci", made.Secret); !errors.Is(err, authn.ErrWrongPassword) {
			t.Errorf("round %d: in the end: %v", round, err)
		}
	}
}

// TestManyAtOnce makes keys of one name and more than are allowed, at once.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.MaxRobots = 5
	var all sync.WaitGroup
	made := make(chan keys.Made, 40)
	for i := range 40 {
		all.Go(func() {
			m, err := f.Create(t.Context(), robot(fmt.Sprint("ci", i/4)))
			switch {
			case err == nil:
				made <- m
			case !errors.Is(err, keys.ErrInvalid):
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	close(made)
	names := map[string]bool{}
	for m := range made {
		if names[m.Name] {
			t.Errorf("two keys are called %s", m.Name)
		}
		names[m.Name] = true
		f.works(t, m.Name, m.Name, m.Secret)
	}
	if len(names) != 5 {
		t.Errorf("%d keys, want 5", len(names))
	}
}

// BenchmarkVerify is what a key costs on each request.
func BenchmarkVerify(b *testing.B) {
	f := newFixture(b)
	for name, r := range map[string]keys.Request{"robot": robot("ci"), "alice": personal("alice", "laptop")} {
		made := f.create(b, r)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.VerifyPassword(b.Context(), r.Name, made.Secret); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
