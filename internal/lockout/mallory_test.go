package lockout

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// Many guesses at the same time are no way around the limit.
func TestMalloryGuessesInParallel(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		addresses, want int
	}{
		"from one address":    {1, 5},
		"from many addresses": {100, 20},
	} {
		w := newWorld()
		var checked, running atomic.Int32
		var begun, done sync.WaitGroup
		all := make(chan struct{})
		for i := range 100 {
			begun.Add(1)
			done.Go(func() {
				a, wait := w.Begin("alice", attackers(i%tt.addresses), fmt.Sprint(i))
				begun.Done()
				if wait > 0 {
					return
				}
				running.Add(1)
				<-all // all have asked before the first one is answered
				checked.Add(1)
				_ = a.Wrong()
			})
		}
		begun.Wait()
		close(all)
		done.Wait()
		if int(checked.Load()) != tt.want {
			t.Errorf("%s: %d of 100 passwords were checked, want %d", name, checked.Load(), tt.want)
		}
		if w.flying() != 0 {
			t.Errorf("%s: attempts are left", name)
		}
	}
}

// Many requests at once with one password are one attempt: docker does that.
func TestManyRequestsWithOnePassword(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var list []Attempt
	for i := range 200 {
		a, wait := w.Begin("alice", home, "right")
		if wait > 0 {
			t.Fatalf("request %d waits %s", i, wait)
		}
		list = append(list, a)
	}
	for i := range list {
		list[i].Right()
	}
	// From many machines that are new here: after a restart they all come.
	list = nil
	for i := range 200 {
		a, wait := w.Begin("robot", attackers(i), "right")
		if wait > 0 {
			t.Fatalf("machine %d waits %s", i, wait)
		}
		list = append(list, a)
	}
	for i := range list {
		list[i].Right()
	}
	// And with an old one: it is one wrong password.
	list = nil
	for range 200 {
		a, _ := w.Begin("alice", home, "old")
		list = append(list, a)
	}
	for i := range list {
		if began := list[i].Wrong(); began != nil {
			t.Fatalf("request %d locks: %v", i, began)
		}
	}
}

// Many names do not fill the memory, and nobody gets rid of a lock by them. It
// measures the memory, so it runs alone.
func TestMalloryFillsTheMemory(t *testing.T) {
	w := newWorld()
	alice := func() int { return w.pairs.byKey[key{"alice", network(attackers(0))}].wrong }
	_ = w.guesses(t, "alice", attackers(0), 15)
	before := alice()
	var held, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&held)
	long := strings.Repeat("x", 240)
	const names = 80_000 // five times what there is room for
	for i := range names {
		_, _ = w.wrong(fmt.Sprint(long, i), attackers(1+i/50), "x")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if mib := float64(after.HeapAlloc-min(held.HeapAlloc, after.HeapAlloc)) / (1 << 20); mib > 32 {
		t.Errorf("%d names take %.1f MiB", names, mib)
	}
	if len(w.pairs.byKey) != maxPairs || len(w.users.byKey) != maxUsers || len(w.pairs.least) != maxPairs {
		t.Errorf("%d pairs and %d users are counted", len(w.pairs.byKey), len(w.users.byKey))
	}
	if alice() != before {
		t.Errorf("alice has %d wrong passwords, had %d", alice(), before)
	}
	// A victim that is counted only now has no fewer than it should.
	if took := w.guesses(t, "bob", attackers(0), 30); took < 2*time.Hour {
		t.Errorf("30 guesses took %s", took)
	}
}

// Where junk is so much that it evicts what was counted, the count goes on: mallory
// alternates between a victim and junk.
func TestMalloryEvictsHerVictim(t *testing.T) {
	t.Parallel()
	clock := newWorld().clock
	cs := newCounts(Pair, 100, 5, Options{First: time.Second, Longest: 15 * time.Minute, Forget: 2 * time.Hour})
	for i := range 300 { // all counts are higher than that of somebody new
		cs.add(nil, key{user: fmt.Sprint(i % 100)}, guess(i), clock.Now())
	}
	locked := 0
	for i := range 100 {
		if len(cs.add(nil, key{user: "alice"}, guess(i), clock.Now())) > 0 {
			locked++
		}
		cs.add(nil, key{user: fmt.Sprint("junk ", i)}, 0, clock.Now())
		cs.add(nil, key{user: fmt.Sprint("more ", i)}, 0, clock.Now())
	}
	if locked < 95 {
		t.Errorf("alice was locked after %d of 100 guesses", locked)
	}
	if len(cs.byKey) != 100 || len(cs.least) != 100 {
		t.Errorf("%d counts", len(cs.byKey))
	}
}

// A user who has come from as many addresses as are remembered is known at the next
// one all the same, and forgotten at the one not used for longest.
func TestTheOldestAddressOfAUserMakesRoom(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_ = w.right("bob", office) // the oldest of all, but of another user
	for i := range maxKnownOfUser {
		_ = w.right("alice", attackers(i))
		w.clock.advance(time.Second)
	}
	w.clock.advance(noteEvery)
	_ = w.right("alice", attackers(0)) // again: the second is now the oldest
	_ = w.right("alice", home)
	for name, tt := range map[string]struct {
		key   key
		known bool
	}{
		"the new one":                 {key{"alice", home}, true},
		"the first, which came again": {key{"alice", network(attackers(0))}, true},
		"the oldest":                  {key{"alice", network(attackers(1))}, false},
		"the second oldest":           {key{"alice", network(attackers(2))}, true},
		"somebody else":               {key{"bob", office}, true},
	} {
		if got := w.known.find(tt.key, w.clock.Now()) != nil; got != tt.known {
			t.Errorf("%s: known %v", name, got)
		}
	}
	if n := len(w.known.byKey); n != 1+maxKnownOfUser {
		t.Errorf("%d are known", n)
	}
}

// One user with many addresses does not make us forget where others come from.
func TestMalloryIsManyAcquaintances(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_ = w.right("alice", home)
	for i := range maxKnown + 1000 {
		_ = w.right("mallory", attackers(i))
	}
	if w.known.find(key{"alice", home}, w.clock.Now()) == nil {
		t.Error("alice is forgotten")
	}
	if n := len(w.known.byKey); n != 1+maxKnownOfUser || w.known.recent.Len() != n {
		t.Errorf("%d are known", n)
	}
	for i := range maxKnown + 1000 { // many users are more than there is room for
		_ = w.right(fmt.Sprint("user ", i), office)
	}
	if n := len(w.known.byKey); n != maxKnown || len(w.known.ofUser) > maxKnown {
		t.Errorf("%d are known, of %d users", n, len(w.known.ofUser))
	}
	w.clock.advance(knownFor + 1)
	_ = w.right("bob", home)
	if n := len(w.known.byKey); n != 1 || len(w.known.ofUser) != 1 {
		t.Errorf("%d are known, of %d users", n, len(w.known.ofUser))
	}
}

// What is kept must not hold the memory of the request, where the password is.
func TestNamesAreKeptAlone(t *testing.T) {
	t.Parallel()
	w := newWorld()
	text := "alice:" + strings.Repeat("the password ", 1000)
	user, password, _ := strings.Cut(text, ":")
	if _, wait := w.Begin(user, home, password); wait > 0 {
		t.Fatal(wait)
	}
	_, _ = w.wrong(user, office, password)
	_ = w.right(user, office)
	for _, m := range []map[key]*count{w.pairs.byKey, w.users.byKey} {
		for k, c := range m {
			if sameMemory(k.user, text) || sameMemory(c.key.user, text) {
				t.Error("a count holds the text of the request")
			}
		}
	}
	for k := range w.known.byKey {
		if sameMemory(k.user, text) {
			t.Error("an acquaintance holds the text of the request")
		}
	}
	for u := range w.known.ofUser {
		if sameMemory(u, text) {
			t.Error("the number of addresses holds the text of the request")
		}
	}
}

func BenchmarkAttempt(b *testing.B) {
	w := newWorld()
	for i := range maxPairs {
		_, _ = w.wrong(fmt.Sprint("user ", i), attackers(i), "x")
	}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = w.right("alice", home)
		}
	})
	b.Run("known, parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = w.right("alice", home)
			}
		})
	})
}

// sameMemory reports whether a part lies within a whole.
func sameMemory(part, whole string) bool {
	p, w := uintptr(unsafe.Pointer(unsafe.StringData(part))), uintptr(unsafe.Pointer(unsafe.StringData(whole)))
	return p >= w && p < w+uintptr(len(whole))
}
