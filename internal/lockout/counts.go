package lockout

import (
	"container/heap"
	"slices"
	"time"
)

// guess tells passwords apart. It says little about them, also to whoever has the
// seed: there are many of each.
type guess uint32

// remembered is how many different wrong passwords are known again.
const remembered = 8

// count is how many wrong passwords there were.
type count struct {
	key     key
	wrong   int
	last    time.Time // when the last one was added
	until   time.Time // locked until
	guesses [remembered]guess
	next    int // how many guesses there were; the next one goes behind them, around
	at      int // in the heap
}

// counts are at most max of them. When there are more, a new one takes the place of
// the smallest, the oldest of these, and goes on from its number (Metwally, Agrawal,
// El Abbadi: Efficient computation of frequent and top-k elements in data streams,
// 2005). So none is ever less than it should be: nobody gets rid of a count by making
// many others.
type counts struct {
	kind  Kind
	max   int
	limit int // the wrong password that begins the first lock
	o     Options
	byKey map[key]*count
	least smallest
	swept time.Time
}

func newCounts(kind Kind, size, limit int, o Options) *counts {
	return &counts{kind: kind, max: size, limit: limit, o: o, byKey: map[key]*count{}}
}

// find returns a count that is not forgotten; nil if there is none.
func (cs *counts) find(k key, now time.Time) *count {
	c := cs.byKey[k]
	if c == nil || now.Sub(c.last) <= cs.o.Forget {
		return c
	}
	cs.remove(c)
	return nil
}

// wait returns how long k is locked. A clock that was put back makes that no longer
// than the longest lock.
func (cs *counts) wait(k key, now time.Time) time.Duration {
	c := cs.find(k, now)
	if c == nil {
		return 0
	}
	return cs.left(c, now)
}

func (cs *counts) left(c *count, now time.Time) time.Duration {
	return min(max(c.until.Sub(now), 0), cs.o.Longest)
}

// room returns how many passwords may be tried at the same time for k: as many as are
// left until a lock begins, and then one.
func (cs *counts) room(k key, now time.Time) int {
	c := cs.find(k, now)
	if c == nil {
		return cs.limit
	}
	return max(1, cs.limit-c.wrong)
}

// tried reports whether a wrong password is one of the last ones.
func (cs *counts) tried(k key, g guess, now time.Time) bool {
	c := cs.find(k, now)
	return c != nil && slices.Contains(c.guesses[:min(c.next, remembered)], g)
}

// add counts one more wrong password, and appends the lock that begins with it.
func (cs *counts) add(began []Lock, k key, g guess, now time.Time) []Lock {
	c := cs.find(k, now)
	if c == nil {
		c = cs.make(k, now)
	}
	c.guesses[c.next%remembered] = g
	c.next++
	c.wrong++
	c.last = now
	heap.Fix(&cs.least, c.at)
	if c.wrong < cs.limit {
		return began
	}
	c.until = now.Add(growing(c.wrong-cs.limit, cs.o.First, cs.o.Longest))
	return append(began, cs.lock(c))
}

// growing returns how long the nth lock is, the first with n 0.
func growing(n int, first, longest time.Duration) time.Duration {
	d := first
	for ; n > 0 && d < longest; n-- {
		d *= 2
	}
	return min(d, longest)
}

// make returns a new count. Where there are too many it is the smallest, under
// another name.
func (cs *counts) make(k key, now time.Time) *count {
	c := &count{key: k.kept(), last: now}
	if len(cs.byKey) >= cs.max {
		cs.sweep(now)
	}
	if len(cs.byKey) >= cs.max {
		evicted := cs.least[0]
		c.wrong = evicted.wrong
		cs.remove(evicted)
	}
	cs.byKey[c.key] = c
	heap.Push(&cs.least, c)
	return c
}

// sweepEvery is how often all counts are looked through for forgotten ones.
const sweepEvery = time.Minute

func (cs *counts) sweep(now time.Time) {
	if since := now.Sub(cs.swept); since >= 0 && since < sweepEvery {
		return
	}
	cs.swept = now
	for _, c := range cs.byKey {
		if now.Sub(c.last) > cs.o.Forget {
			cs.remove(c)
		}
	}
}

func (cs *counts) remove(c *count) {
	delete(cs.byKey, c.key)
	heap.Remove(&cs.least, c.at)
}

// smallest is a heap.Interface: the smallest count first, and the oldest of these.
type smallest []*count

func (s smallest) Len() int { return len(s) }

func (s smallest) Less(i, j int) bool {
	if s[i].wrong != s[j].wrong {
		return s[i].wrong < s[j].wrong
	}
	return s[i].last.Before(s[j].last)
}

func (s smallest) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].at, s[j].at = i, j
}

// Push is heap.Interface.
func (s *smallest) Push(x any) {
	c := x.(*count) // we put nothing else there
	c.at = len(*s)
	*s = append(*s, c)
}

// Pop is heap.Interface.
func (s *smallest) Pop() any {
	last := len(*s) - 1
	c := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return c
}
