package lockout

import (
	"container/list"
	"time"
)

// Bounds of who is remembered to have signed in from where. One user alone cannot
// fill the memory. With the longest names it takes 17 MiB.
const (
	maxKnown       = 32_768
	maxKnownOfUser = 1_024
	knownFor       = 7 * 24 * time.Hour
)

// acquaintances are the users and addresses that came with the right password. Of
// too many, the one that has not come for longest is forgotten.
type acquaintances struct {
	max, maxOfUser int
	keep           time.Duration
	byKey          map[key]*list.Element // of acquaintance
	recent         *list.List            // the one that came last in front
	ofUser         map[string]int        // how many there are of each user
}

type acquaintance struct {
	key      key
	last     time.Time
	password uint16 // a part of the guess that was right
}

func newAcquaintances(size, ofUser int, keep time.Duration) *acquaintances {
	return &acquaintances{
		max: size, maxOfUser: ofUser, keep: keep,
		byKey: map[key]*list.Element{}, recent: list.New(), ofUser: map[string]int{},
	}
}

// find returns who came with the right password not long ago, or nil.
func (as *acquaintances) find(k key, now time.Time) *acquaintance {
	e := as.byKey[k]
	if e == nil {
		return nil
	}
	if now.Sub(of(e).last) > as.keep {
		as.remove(e)
		return nil
	}
	return of(e)
}

// add notes that somebody came with the right password.
func (as *acquaintances) add(k key, g guess, now time.Time) {
	if e := as.byKey[k]; e != nil {
		of(e).last, of(e).password = now, part(g)
		as.recent.MoveToFront(e)
		return
	}
	as.sweep(now)
	if as.ofUser[k.user] >= as.maxOfUser {
		return
	}
	if len(as.byKey) >= as.max {
		as.remove(as.recent.Back())
	}
	k = k.kept()
	as.byKey[k] = as.recent.PushFront(&acquaintance{key: k, last: now, password: part(g)})
	as.ofUser[k.user]++
}

func part(g guess) uint16 { return uint16(g & 0xffff) }

// sweep forgets those who have not come for too long.
func (as *acquaintances) sweep(now time.Time) {
	for e := as.recent.Back(); e != nil && now.Sub(of(e).last) > as.keep; e = as.recent.Back() {
		as.remove(e)
	}
}

func (as *acquaintances) remove(e *list.Element) {
	k := of(e).key
	as.recent.Remove(e)
	delete(as.byKey, k)
	if as.ofUser[k.user]--; as.ofUser[k.user] == 0 {
		delete(as.ofUser, k.user)
	}
}

func of(e *list.Element) *acquaintance {
	return e.Value.(*acquaintance) // we put nothing else there
}
