// Package lockout makes guessing passwords slow. It counts wrong passwords of each
// user at each address, of each user at all addresses, and of each address, and says
// who has to wait. What it counts is bounded, and is forgotten after a quiet time.
//
// It must not become a way to lock others out: users who signed in from an address
// not long ago do not suffer there from what happens elsewhere, nor from neighbours
// at that address who guess at other names. A neighbour who guesses at their own name
// can make them wait, at that address alone and for Options.Longest at a time.
package lockout

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Kind says what is counted.
type Kind string

// The kinds.
const (
	Pair    Kind = "pair" // a user at an address
	User    Kind = "user"
	Address Kind = "address"
)

// How many wrong passwords there may be, as multiples of Options.Failures: a user
// types at more than one place, and many people are behind an address.
const (
	perUser    = 4
	perAddress = 20
)

// slowest is how long strangers at an address have to wait at most: somebody new
// who comes from there is made slow, not locked out.
const slowest = 10 * time.Second

// crowded is how long somebody has to wait while too many other passwords are being
// tried for the same.
const crowded = time.Second

// Bounds of what is counted. With the longest names it takes 16 MiB.
const (
	maxPairs     = 16_384
	maxUsers     = 8_192
	maxAddresses = 8_192
)

// Options say how a Guard decides.
type Options struct {
	// Failures is which wrong password of a user at one address begins the first
	// lock. Each one more locks for twice as long as the one before.
	Failures int
	First    time.Duration // how long the first lock lasts
	Longest  time.Duration // and any
	Forget   time.Duration // a count is forgotten when nothing was added for so long

	// Trusted are networks where no user is locked for what happened elsewhere, and
	// no address for its users.
	Trusted []netip.Prefix
	Now     func() time.Time
}

// Guard says who may try a password. It may be used at once by many.
type Guard struct {
	o    Options
	seed maphash.Seed // under which passwords are told apart; it dies with the process

	refused atomic.Uint64

	mu                      sync.Mutex
	pairs, users, addresses *counts
	known                   *acquaintances
	flights                 flights
}

// New returns a guard that has seen nothing yet.
func New(o Options) *Guard {
	slow := o
	slow.Longest = min(o.Longest, slowest)
	return &Guard{
		o: o, seed: maphash.MakeSeed(),
		pairs:     newCounts(Pair, maxPairs, o.Failures, o),
		users:     newCounts(User, maxUsers, o.Failures*perUser, o),
		addresses: newCounts(Address, maxAddresses, o.Failures*perAddress, slow),
		known:     newAcquaintances(maxKnown, maxKnownOfUser, knownFor),
		flights:   newFlights(),
	}
}

// Attempt is a password that is being checked. It ends with the first call of one of
// its methods; those that follow do nothing. That of the zero value is no attempt.
type Attempt struct {
	g        *Guard
	pair     key
	guess    guess
	stranger bool // counts of the user and of the address matter
	open     bool // passwords of this network are not counted for the address
	again    bool // the password is the one that was right the last time
	noted    bool // and that was just now
}

// noteEvery is how often it is noted that somebody has come again.
const noteEvery = time.Minute

// Begin reports how long user, who comes from address, has to wait before a password
// may be tried: not at all if it is 0, and then the attempt has begun and must be
// ended. Passwords that are tried at the same time count as wrong until they have
// been checked; the same one tried many times is one. An address that is not known
// is one like any other.
func (g *Guard) Begin(user string, address netip.Addr, password string) (Attempt, time.Duration) {
	a := Attempt{g: g, pair: key{fold(user), network(address)}}
	a.guess = guess(maphash.String(g.seed, password)) //nolint:gosec // the lower half of it
	a.open = g.trusts(address)
	now := g.o.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	friend := g.known.find(a.pair, now)
	a.stranger = friend == nil && !a.open
	if friend != nil {
		a.again = friend.password == part(a.guess)
		a.noted = a.again && now.Sub(friend.last).Abs() < noteEvery
	}
	if wait := g.wait(a, now); wait > 0 {
		return Attempt{}, wait
	}
	if !a.again { // what was right is no guess
		g.flights.begin(a)
	}
	return a, 0
}

// Refuse counts a password that nobody looked at because it had to wait. Begin does
// not: whoever asked may see that it is none, and look at it.
func (g *Guard) Refuse() { g.refused.Add(1) }

// Refused returns how many passwords were refused since the start.
func (g *Guard) Refused() uint64 { return g.refused.Load() }

// wait returns how long an attempt has to wait.
func (g *Guard) wait(a Attempt, now time.Time) time.Duration {
	wait := g.pairs.wait(a.pair, now)
	if a.stranger {
		wait = max(wait, g.users.wait(a.pair.ofUser(), now), g.addresses.wait(a.pair.ofAddress(), now))
	}
	if wait == 0 && !a.again && !g.room(a, now) {
		return crowded
	}
	return wait
}

// room reports whether one more password may be tried at the same time.
func (g *Guard) room(a Attempt, now time.Time) bool {
	user, address := a.pair.ofUser(), a.pair.ofAddress()
	return g.flights.pairs.fits(a.pair, a.ofPair(), g.pairs.room(a.pair, now)) &&
		(!a.stranger ||
			g.flights.users.fits(user, a.ofUser(), g.users.room(user, now)) &&
				g.flights.addresses.fits(address, a.ofPair(), g.addresses.room(address, now)))
}

func (g *Guard) trusts(address netip.Addr) bool {
	for _, p := range g.o.Trusted {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// Right ends an attempt with a password that was right. It takes nothing back: who
// guesses from the same address as somebody with the right password would begin anew
// each time.
func (a *Attempt) Right() {
	if a.noted {
		a.g = nil
		return
	}
	a.end(func(g *Guard, now time.Time) { g.known.add(a.pair, a.guess, now) })
}

// Wrong ends an attempt with a password that was wrong, or a user whom nobody knows,
// and returns the locks that begin with it. A password that was tried not long ago
// does not count again: programs with an old one try it for ever.
func (a *Attempt) Wrong() (began []Lock) {
	a.end(func(g *Guard, now time.Time) {
		if g.pairs.tried(a.pair, a.guess, now) {
			return
		}
		began = g.pairs.add(began, a.pair, a.guess, now)
		if !g.users.tried(a.pair.ofUser(), a.guess, now) {
			began = g.users.add(began, a.pair.ofUser(), a.guess, now)
		}
		if !a.open {
			began = g.addresses.add(began, a.pair.ofAddress(), a.guess, now)
		}
	})
	return began
}

// Drop ends an attempt of which nobody found out whether the password was right.
func (a *Attempt) Drop() { a.end(func(*Guard, time.Time) {}) }

func (a *Attempt) end(note func(g *Guard, now time.Time)) {
	g := a.g
	if g == nil {
		return
	}
	a.g = nil
	now := g.o.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !a.again {
		g.flights.end(*a)
	}
	note(g, now)
}
