package lockout

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// handClock is a clock that a test moves.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a guard with the usual options, and a clock.
type world struct {
	*Guard
	clock *handClock
}

func newWorld(trusted ...netip.Prefix) world {
	clock := &handClock{now: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}
	return world{clock: clock, Guard: New(Options{Failures: 5, First: time.Second, Longest: 15 * time.Minute, Forget: 2 * time.Hour, Trusted: trusted, Now: clock.Now})}
}

// flying returns how many attempts have not ended.
func (w world) flying() (n int) {
	for _, ts := range []tries{w.flights.pairs, w.flights.users, w.flights.addresses} {
		n += len(ts.each) + len(ts.different)
	}
	return n
}

var (
	home   = netip.MustParseAddr("192.0.2.1")
	office = netip.MustParseAddr("198.51.100.7")
)

// wrong tries a wrong password and returns how long it had to wait instead, and
// which locks began.
func (w world) wrong(user string, from netip.Addr, password string) (time.Duration, []Lock) {
	a, wait := w.Begin(user, from, password)
	if wait > 0 {
		return wait, nil
	}
	return 0, a.Wrong()
}

// right signs in, and returns how long it had to wait instead.
func (w world) right(user string, from netip.Addr) time.Duration {
	a, wait := w.Begin(user, from, "right")
	a.Right()
	return wait
}

// guesses tries n different passwords, each as soon as it may, and returns how long
// that took.
func (w world) guesses(t *testing.T, user string, from netip.Addr, n int) time.Duration {
	t.Helper()
	begun := w.clock.Now()
	for i := 0; i < n; {
		wait, _ := w.wrong(user, from, fmt.Sprint("guess ", i))
		if wait == 0 {
			i++
		}
		w.clock.advance(wait)
	}
	return w.clock.Now().Sub(begun)
}

// attackers returns the nth of many addresses, each in a network of its own.
func attackers(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 15: 1})
}

func TestLocksGrow(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 4 {
		if wait, began := w.wrong("alice", home, fmt.Sprint(i)); wait > 0 || began != nil {
			t.Fatalf("failure %d: wait %s, locks %v", i, wait, began)
		}
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
		want *= time.Second
		_, began := w.wrong("alice", home, fmt.Sprint("more ", i))
		if len(began) != 1 && i < 15-1 || began[0].Kind != Pair || began[0].Until.Sub(w.clock.Now()) != want {
			t.Fatalf("lock %d: %+v, want %s", i, began, want)
		}
		if wait := w.right("alice", home); wait != want {
			t.Errorf("lock %d: the right password waits %s, want %s", i, wait, want)
		}
		w.clock.advance(want)
	}
	if wait := w.right("alice", home); wait != 0 {
		t.Errorf("after the lock she waits %s", wait)
	}
	// The right password takes nothing back: mallory may sit at the same address.
	if _, began := w.wrong("alice", home, "once more"); len(began) == 0 {
		t.Error("after the right password the count begins anew")
	}
	w.clock.advance(2*time.Hour + 1)
	if _, began := w.wrong("alice", home, "once more, later"); began != nil {
		t.Errorf("after a quiet time a wrong password locks: %v", began)
	}
}

// A program with an old password tries it for ever.
func TestTheSamePasswordCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 3 * 1000 {
		if wait, began := w.wrong("robot", home, fmt.Sprint("old ", i%3)); wait > 0 || began != nil {
			t.Fatalf("try %d: wait %s, %v", i, wait, began)
		}
	}
	// On many machines: nobody has guessed anything, and new machines come in.
	for i := range 1000 {
		if wait, began := w.wrong("robot", attackers(i), "old 0"); wait > 0 || began != nil {
			t.Fatalf("machine %d: wait %s, %v", i, wait, began)
		}
	}
	if wait := w.right("robot", office); wait > 0 {
		t.Errorf("a new machine waits %s", wait)
	}
}

// Somebody who guesses gets about a hundred passwords a day.
func TestGuessesOfADay(t *testing.T) {
	t.Parallel()
	if took := newWorld().guesses(t, "alice", home, 120); took < 24*time.Hour {
		t.Errorf("120 guesses took %s", took)
	}
}

func TestManyAddressesShareTheLockOfAUser(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := 0
	for i := range 1000 {
		if wait, _ := w.wrong("alice", attackers(i), fmt.Sprint(i)); wait == 0 {
			n++
		}
	}
	if n != 20 {
		t.Errorf("%d passwords were tried from 1000 addresses, want 20", n)
	}
}

func TestNobodyIsLockedOutOnPurpose(t *testing.T) {
	t.Parallel()
	w := newWorld(netip.MustParsePrefix("198.51.100.0/24"))
	if wait := w.right("alice", home); wait > 0 {
		t.Fatal(wait)
	}
	for i := range 40 { // mallory goes on whenever she can
		wait, _ := w.wrong("alice", attackers(i), fmt.Sprint(i))
		w.clock.advance(wait)
	}
	_, _ = w.wrong("alice", attackers(100), "and once more")
	if wait := w.right("alice", attackers(101)); wait == 0 {
		t.Error("nothing is locked: this test shows nothing")
	}
	if wait := w.right("alice", home); wait > 0 {
		t.Errorf("alice, from where she always comes, waits %s", wait)
	}
	if wait := w.right("alice", office); wait > 0 {
		t.Errorf("alice, from a trusted network, waits %s", wait)
	}
	if wait := w.right("bob", attackers(3)); wait > 0 {
		t.Errorf("bob waits %s", wait)
	}
}

func TestNobodyBehindAnAddressIsLockedOut(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for _, user := range []string{"alice", "bob"} {
		_ = w.right(user, home)
	}
	tried, seconds := 0, 600
	for s := range seconds { // mallory tries twenty names each second
		for i := range 20 {
			if wait, _ := w.wrong(fmt.Sprint("name ", s, i), home, "123456"); wait == 0 {
				tried++
			}
		}
		for _, user := range []string{"alice", "bob"} {
			if wait := w.right(user, home); wait > 0 {
				t.Fatalf("second %d: %s waits %s", s, user, wait)
			}
		}
		w.clock.advance(time.Second)
	}
	if tried < 100+seconds/10-10 || tried > 100+seconds/10+10 {
		t.Errorf("%d names were tried in %d seconds, want 100 and then one in ten seconds", tried, seconds)
	}
	if wait := w.right("carol", home); wait == 0 || wait > 10*time.Second {
		t.Errorf("somebody new waits %s, want up to 10 s", wait)
	}
	w.clock.advance(10 * time.Second)
	if wait := w.right("carol", home); wait > 0 {
		t.Errorf("somebody new waits %s once more", wait)
	}
	if wait := w.right("dave", office); wait > 0 {
		t.Errorf("somebody elsewhere waits %s", wait)
	}
}

// A client of IPv6 has a whole network of addresses.
func TestAddressesOfOneNetworkAreOne(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := 0
	for i := range 100 {
		from := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i), 15: 1})
		if wait, _ := w.wrong("alice", from, fmt.Sprint(i)); wait == 0 {
			n++
		}
	}
	if n != 5 {
		t.Errorf("%d passwords were tried from one network, want 5", n)
	}
	locks := w.List()
	if len(locks) != 1 || locks[0].Address != "2001:db8::/64" || locks[0].User != "alice" {
		t.Errorf("the locks are %+v", locks)
	}
	if wait, _ := w.wrong("alice", netip.MustParseAddr("2001:db8:0:1::1"), "x"); wait > 0 {
		t.Errorf("the next network waits %s", wait)
	}
	for i := range 5 {
		_, _ = w.wrong("bob", netip.MustParseAddr("::ffff:192.0.2.1"), fmt.Sprint(i))
	}
	if wait, _ := w.wrong("bob", home, "x"); wait == 0 {
		t.Error("an address of IPv4 has a second form")
	}
}

// Whoever does not let himself be seen is not the better for it.
func TestAnUnknownAddressIsOne(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 5 {
		_, _ = w.wrong("alice", netip.Addr{}, fmt.Sprint(i))
	}
	if wait, _ := w.wrong("alice", netip.Addr{}, "x"); wait == 0 {
		t.Error("who comes from nowhere may go on")
	}
	if locks := w.List(); len(locks) != 1 || locks[0].Address != "" {
		t.Errorf("the locks are %+v", locks)
	}
}

func TestVariantsOfANameShareALock(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{
		{"alice", "Alice", "ALICE", " alice", "alice ", "\talice", "ａｌｉｃｅ", "al\u00adice", "ali\u200bce", "álice", "a\u0301lice"},
		{"müller", "MÜLLER", "mu\u0308ller", "muller"},
		{"straße", "STRASSE", "strasse"},
		{"ivan petrov", "Ivan  Petrov", "ivan\u00a0petrov"},
	} {
		for _, name := range list {
			if got := fold(name); got != fold(list[0]) {
				t.Errorf("%q is counted as %q, %q as %q", name, got, list[0], fold(list[0]))
			}
		}
	}
	if n := len(fold(strings.Repeat("\ufdfa", 85))); n > maxName { // each is 18 characters
		t.Errorf("a name of 255 bytes is counted under %d", n)
	}
	for _, name := range []string{"alicf", "a.lice", "ali", "alice@corp", "corp\\alice"} {
		if fold(name) == "alice" {
			t.Errorf("%q is counted as alice", name)
		}
	}
}

func TestAClockThatIsPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_ = w.guesses(t, "alice", home, 30)
	w.clock.advance(-10 * 24 * time.Hour)
	wait := w.right("alice", home)
	if wait <= 0 || wait > 15*time.Minute {
		t.Errorf("alice waits %s, want no more than the longest lock", wait)
	}
	if wait := w.right("bob", home); wait > 0 {
		t.Errorf("bob waits %s", wait)
	}
	if wait, began := w.wrong("bob", home, "x"); wait > 0 || began != nil {
		t.Errorf("bob waits %s, %v", wait, began)
	}
}

// What was not checked says nothing.
func TestDroppedAttemptsDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 1000 {
		a, wait := w.Begin("alice", home, fmt.Sprint(i))
		if wait > 0 {
			t.Fatalf("try %d waits %s", i, wait)
		}
		a.Drop()
		a.Drop()
		_ = a.Wrong()
		a.Right()
	}
	var none Attempt
	none.Drop()
	if none.Wrong() != nil {
		t.Error("no attempt locks somebody")
	}
	if n := len(w.pairs.byKey) + len(w.users.byKey) + len(w.addresses.byKey) + len(w.known.byKey) + w.flying(); n != 0 {
		t.Errorf("%d things are remembered", n)
	}
}

func TestClear(t *testing.T) {
	t.Parallel()
	w := newWorld()
	lockAll := func() {
		for i := range 30 {
			_, _ = w.wrong("alice", attackers(i), fmt.Sprint(i))
		}
		for i := range 5 {
			_, _ = w.wrong("bob", home, fmt.Sprint(i))
			_, _ = w.wrong("carol", home, fmt.Sprint(i))
		}
	}
	lockAll()
	if n := w.InForce(); n[User] != 1 || n[Pair] != 2 || n[Address] != 0 {
		t.Errorf("in force: %v", n)
	}
	if n := w.ClearUser("Alice "); n != 21 { // the count of the user, and those at 20 addresses
		t.Errorf("cleared %d counts of alice, want 21", n)
	}
	if wait := w.right("alice", attackers(500)); wait > 0 {
		t.Errorf("alice waits %s", wait)
	}
	if wait := w.right("bob", home); wait == 0 {
		t.Error("bob was cleared too")
	}
	if n := w.ClearAddress(home); n != 3 {
		t.Errorf("cleared %d counts of an address, want 3", n)
	}
	if wait := w.right("bob", home); wait > 0 {
		t.Errorf("bob waits %s", wait)
	}
	if n := w.ClearUser("") + w.ClearAddress(netip.Addr{}) + w.ClearUser("nobody"); n != 0 {
		t.Errorf("nothing is %d counts", n)
	}
	lockAll()
	if n := w.ClearAll(); n == 0 || len(w.List()) != 0 {
		t.Errorf("cleared %d; left are %v", n, w.List())
	}
	if _, began := w.wrong("bob", home, "x"); began != nil {
		t.Error("a cleared count goes on")
	}
}

func TestListShowsTheLongestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_ = w.guesses(t, "bob", home, 5)
	_ = w.guesses(t, "alice", home, 9)
	_ = w.guesses(t, "carol", home, 4)
	locks := w.List()
	if len(locks) != 2 || locks[0].User != "alice" || locks[0].Wrong != 9 || !locks[0].Locked(w.clock.Now()) || locks[1].User != "bob" || locks[1].Locked(w.clock.Now()) {
		t.Errorf("the locks are %+v", locks)
	}
	w.clock.advance(3 * time.Hour)
	if locks := w.List(); len(locks) != 0 {
		t.Errorf("forgotten locks are listed: %+v", locks)
	}
}
