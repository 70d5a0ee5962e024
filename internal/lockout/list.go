package lockout

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Lock is a count that has come so far that each further wrong password locks.
type Lock struct {
	Kind    Kind      `json:"kind"`
	User    string    `json:"user,omitempty"`    // in small letters, as it is counted
	Address string    `json:"address,omitempty"` // a network for IPv6; "" also if it is not known
	Wrong   int       `json:"wrong"`             // how many wrong passwords there were
	Last    time.Time `json:"last"`              // when the last one came, UTC
	Until   time.Time `json:"until"`             // locked until; past if it is not locked now, UTC
}

// Locked reports whether it is in force.
func (l Lock) Locked(now time.Time) bool { return now.Before(l.Until) }

// String says it in words, for the log.
func (l Lock) String() string {
	user, from := fmt.Sprintf("%q", l.User), cmp.Or(l.Address, "an address that is not known")
	until := l.Until.Format(time.RFC3339)
	switch l.Kind {
	case User:
		return fmt.Sprintf("%d wrong passwords: %s waits until %s at addresses that are new to us", l.Wrong, user, until)
	case Address:
		return fmt.Sprintf("%d wrong passwords: users who are new at %s wait until %s", l.Wrong, from, until)
	default:
		return fmt.Sprintf("%d wrong passwords: %s at %s waits until %s", l.Wrong, user, from, until)
	}
}

func (cs *counts) lock(c *count) Lock {
	return Lock{
		Kind: cs.kind, User: c.key.user, Address: networkText(c.key.address),
		Wrong: c.wrong, Last: c.last.UTC(), Until: c.until.UTC(),
	}
}

func (g *Guard) all() []*counts { return []*counts{g.pairs, g.users, g.addresses} }

// List returns all locks, also those that are over and would begin again with the
// next wrong password. The one that lasts longest is first.
func (g *Guard) List() []Lock {
	now := g.o.Now()
	var locks []Lock
	g.mu.Lock()
	for _, cs := range g.all() {
		for _, c := range cs.byKey {
			if c.wrong >= cs.limit && now.Sub(c.last) <= cs.o.Forget {
				locks = append(locks, cs.lock(c))
			}
		}
	}
	g.mu.Unlock()
	slices.SortFunc(locks, func(a, b Lock) int {
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.User, b.User), cmp.Compare(a.Address, b.Address))
	})
	return locks
}

// InForce returns how many locks of each kind are in force.
func (g *Guard) InForce() map[Kind]int {
	now := g.o.Now()
	n := map[Kind]int{Pair: 0, User: 0, Address: 0}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, cs := range g.all() {
		for _, c := range cs.byKey {
			if cs.left(c, now) > 0 {
				n[cs.kind]++
			}
		}
	}
	return n
}

// ClearUser forgets the wrong passwords of a user, at all addresses, and returns how
// many counts that were.
func (g *Guard) ClearUser(user string) int {
	user = fold(user)
	return g.clear(func(k key) bool { return k.user == user && user != "" })
}

// ClearAddress forgets the wrong passwords that came from an address, and of IPv6
// from its network, and returns how many counts that were. What they were for the
// users there at all addresses stays.
func (g *Guard) ClearAddress(address netip.Addr) int {
	address = network(address)
	return g.clear(func(k key) bool { return k.address == address && address.IsValid() })
}

// ClearAll forgets all wrong passwords and returns how many counts that were.
func (g *Guard) ClearAll() int { return g.clear(func(key) bool { return true }) }

func (g *Guard) clear(which func(key) bool) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, cs := range g.all() {
		for k, c := range cs.byKey {
			if which(k) {
				cs.remove(c)
				n++
			}
		}
	}
	return n
}
