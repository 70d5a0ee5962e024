package authn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/access"
)

// fakeSource knows one password for all users of a map: stamps are passwords.
type fakeSource struct {
	mu    sync.Mutex
	users map[string]string
	calls int

	during func(ctx context.Context) error // if not nil, called while verifying
}

func (f *fakeSource) Stamp(user string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.users[user]
}

func (f *fakeSource) set(user, password string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users[user] = password
}

func (f *fakeSource) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *fakeSource) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	f.mu.Lock()
	want, known := f.users[user]
	f.calls++
	f.mu.Unlock()
	if f.during != nil {
		if err := f.during(ctx); err != nil {
			return access.Identity{}, err
		}
	}
	switch {
	case !known:
		return access.Identity{}, ErrNoMatch
	case want != password:
		return access.Identity{}, ErrWrongPassword
	}
	return access.Identity{User: user, Source: "fake"}, nil
}

// handClock is the clock of a cache that a test moves.
type handClock struct{ now atomic.Int64 }

func (c *handClock) NowNano() int64                      { return c.now.Load() }
func (c *handClock) Tick(time.Duration) <-chan time.Time { return nil }
func (c *handClock) advance(d time.Duration)             { c.now.Add(int64(d)) }

func newFake() *fakeSource {
	return &fakeSource{users: map[string]string{"alice": "right"}}
}

func verify(t *testing.T, p Password, user, pw string) error {
	t.Helper()
	_, err := p.VerifyPassword(t.Context(), user, pw)
	return err
}

func TestCachedAsksOnceForARightPassword(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := Cached("fake", f, NewCache(0, 0))
	for range 3 {
		who, err := p.VerifyPassword(t.Context(), "alice", "right")
		if err != nil || who.User != "alice" || who.Source != "fake" {
			t.Fatalf("%+v, %v", who, err)
		}
	}
	if f.count() != 1 {
		t.Errorf("asked %d times; want once", f.count())
	}
}

func TestCachedNeverRemembersFailures(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := Cached("fake", f, NewCache(0, 0))
	for i, tt := range []struct {
		user string
		want error
	}{{"alice", ErrWrongPassword}, {"alice", ErrWrongPassword}, {"mallory", ErrNoMatch}, {"mallory", ErrNoMatch}} {
		if err := verify(t, p, tt.user, "wrong"); !errors.Is(err, tt.want) {
			t.Errorf("%d: error %v; want %v", i, err, tt.want)
		}
		if f.count() != i+1 {
			t.Errorf("%d: asked %d times", i, f.count())
		}
	}
}

func TestCachedForgetsAfterItsTime(t *testing.T) {
	t.Parallel()
	f, clock := newFake(), &handClock{}
	p := Cached("fake", f, newCache(time.Minute, 10, clock))
	steps := []struct {
		advance time.Duration
		calls   int
	}{{0, 1}, {59 * time.Second, 1}, {2 * time.Second, 2}, {59 * time.Second, 2}}
	for i, s := range steps {
		clock.advance(s.advance)
		if err := verify(t, p, "alice", "right"); err != nil {
			t.Fatal(err)
		}
		if f.count() != s.calls {
			t.Errorf("step %d: asked %d times; want %d", i, f.count(), s.calls)
		}
	}
}

func TestCachedForgetsAChangedUser(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := Cached("fake", f, NewCache(0, 0))
	if err := verify(t, p, "alice", "right"); err != nil {
		t.Fatal(err)
	}
	f.set("alice", "new")
	if err := verify(t, p, "alice", "right"); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("the old password: error %v", err)
	}
	if err := verify(t, p, "alice", "new"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	f.mu.Lock()
	delete(f.users, "alice")
	f.mu.Unlock()
	if err := verify(t, p, "alice", "new"); !errors.Is(err, ErrNoMatch) {
		t.Errorf("a removed user: error %v", err)
	}
}

// A password that is verified while the file changes says nothing about the
// stored hash that was there before.
func TestCachedDoesNotRememberWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.during = func(context.Context) error { f.set("alice", "new"); return nil }
	p := Cached("fake", f, NewCache(0, 0))
	_ = verify(t, p, "alice", "right")
	f.during = nil
	f.set("alice", "right") // the stamp that the first request saw
	before := f.count()
	_ = verify(t, p, "alice", "right")
	if f.count() != before+1 {
		t.Error("the answer came from the memory")
	}
}

func TestCachedKeepsSourcesUsersAndPasswordsApart(t *testing.T) {
	t.Parallel()
	cache := NewCache(0, 0)
	a, b := newFake(), &fakeSource{users: map[string]string{"alice": "right", "ali": "x"}}
	if err := verify(t, Cached("a", a, cache), "alice", "right"); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, Cached("b", b, cache), "alice", "right"); err != nil || b.count() != 1 {
		t.Errorf("another source: error %v, asked %d times", err, b.count())
	}
	keys := map[cacheKey]string{}
	for _, f := range [][]string{{"s", "h", "ab", "c"}, {"s", "h", "a", "bc"}, {"s", "ha", "b", "c"}, {"sh", "", "ab", "c"}, {"s", "h", "ab", "c", ""}} {
		k := cache.key(f...)
		if other, ok := keys[k]; ok {
			t.Errorf("%q has the key of %s", f, other)
		}
		keys[k] = fmt.Sprintf("%q", f)
	}
	if NewCache(0, 0).key("s", "h", "u", "p") == cache.key("s", "h", "u", "p") {
		t.Error("two caches have the same secret")
	}
}

func TestCachedChecksAFreshPasswordOnceForMany(t *testing.T) {
	t.Parallel()
	cache := NewCache(0, 0) // outside of the bubble: it has a goroutine of its own
	synctest.Test(t, func(t *testing.T) {
		f, gate := newFake(), make(chan struct{})
		f.during = func(context.Context) error { <-gate; return nil }
		p := Cached("fake", f, cache)
		const many = 20
		errs := make(chan error, many)
		for range many {
			go func() { errs <- verify(t, p, "alice", "right") }()
		}
		synctest.Wait()
		close(gate)
		for range many {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if f.count() != 1 {
			t.Errorf("asked %d times; want once", f.count())
		}
	})
}

func TestCachedOutlivesTheRequestThatStarted(t *testing.T) {
	t.Parallel()
	cache := NewCache(0, 0)
	synctest.Test(t, func(t *testing.T) {
		f, gate := newFake(), make(chan struct{})
		f.during = func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-gate:
				return nil
			}
		}
		p := Cached("fake", f, cache)
		first, cancel := context.WithCancel(t.Context())
		firstErr, secondErr := make(chan error), make(chan error)
		go func() {
			_, err := p.VerifyPassword(first, "alice", "right")
			firstErr <- err
		}()
		synctest.Wait()
		go func() { secondErr <- verify(t, p, "alice", "right") }()
		synctest.Wait()
		cancel()
		if err := <-firstErr; !errors.Is(err, context.Canceled) {
			t.Errorf("the request that went away: error %v", err)
		}
		synctest.Wait()
		close(gate)
		if err := <-secondErr; err != nil {
			t.Errorf("the request that stayed: %v", err)
		}
	})
}

func TestCachedWaitEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	cache := NewCache(0, 0)
	synctest.Test(t, func(t *testing.T) {
		f, gate := newFake(), make(chan struct{})
		f.during = func(context.Context) error { <-gate; return nil }
		p := Cached("fake", f, cache)
		first, second := make(chan error), make(chan error)
		go func() { first <- verify(t, p, "alice", "right") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			_, err := p.VerifyPassword(ctx, "alice", "right")
			second <- err
		}()
		if err := <-second; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v; want that of the request", err)
		}
		close(gate)
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

// A source may have a time limit of its own. Its error is an answer.
func TestCachedReturnsTheTimeoutOfTheSource(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.during = func(context.Context) error { return context.DeadlineExceeded }
	if err := verify(t, Cached("fake", f, NewCache(0, 0)), "alice", "right"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if f.count() != 1 {
		t.Errorf("asked %d times", f.count())
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const entries = 50
	cache := NewCache(time.Hour, entries)
	f := &fakeSource{users: map[string]string{}}
	p := Cached("fake", f, cache)
	for i := range 20 * entries {
		user := fmt.Sprint("user", i)
		f.set(user, "pw")
		if err := verify(t, p, user, "pw"); err != nil {
			t.Fatal(err)
		}
	}
	cache.verified.CleanUp()
	if n := cache.verified.EstimatedSize(); n > entries {
		t.Errorf("%d entries; want at most %d", n, entries)
	}
}

func BenchmarkCachedVerify(b *testing.B) {
	f := newFake()
	f.set("alice", "$2y$10$0123456789012345678901234567890123456789012345678901") // as long as a stored hash
	p := Cached("fake", f, NewCache(0, 0))
	password := f.users["alice"]
	if _, err := p.VerifyPassword(b.Context(), "alice", password); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.VerifyPassword(b.Context(), "alice", password); err != nil {
			b.Fatal(err)
		}
	}
}
