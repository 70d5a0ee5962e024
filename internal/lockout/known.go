package lockout

import (
	"container/list"
	"time"
)

// Bounds of who is remembered to have signed in from where. One user alone cannot
// fill the memory. With the longest names it takes 20 MiB.
const (
	maxKnown       = 32_768
	maxKnownOfUser = 1_024
	knownFor       = 7 * 24 * time.Hour
)

// acquaintances are the users and addresses that came with the right password. Of
// too many, or too many of one user, the one that has not come for longest is
// forgotten.
type acquaintances struct {
	max, maxOfUser int
	keep           time.Duration
	byKey          map[key]*list.Element // of acquaintance
	recent         *list.List            // the one that came last in front
	ofUser         map[string]*list.List // elements of recent: those of each user, in the same order
}

type acquaintance struct {
	key      key
	last     time.Time
	password uint16        // a part of the guess that was right
	ofUser   *list.Element // its place among those of its user
}

func newAcquaintances(size, ofUser int, keep time.Duration) *acquaintances {
	return &acquaintances{
		max: size, maxOfUser: ofUser, keep: keep,
		byKey: map[key]*list.Element{}, recent: list.New(), ofUser: map[string]*list.List{},
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
		as.ofUser[k.user].MoveToFront(of(e).ofUser)
		return
	}
	as.sweep(now)
	if own := as.ofUser[k.user]; own != nil && own.Len() >= as.maxOfUser {
		as.remove(own.Back().Value.(*list.Element)) // we put nothing else there
	}
	if len(as.byKey) >= as.max {
		as.remove(as.recent.Back())
	}
	k = k.kept()
	own := as.ofUser[k.user]
	if own == nil {
		own = list.New()
		as.ofUser[k.user] = own
	}
	e := as.recent.PushFront(&acquaintance{key: k, last: now, password: part(g)})
	of(e).ofUser = own.PushFront(e)
	as.byKey[k] = e
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
	own := as.ofUser[k.user]
	if own.Remove(of(e).ofUser); own.Len() == 0 {
		delete(as.ofUser, k.user)
	}
}

func of(e *list.Element) *acquaintance {
	return e.Value.(*acquaintance) // we put nothing else there
}
