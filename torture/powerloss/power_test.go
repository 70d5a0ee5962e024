package powerloss

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
)

// What "make test" looks at. With a minute or more (client.Full) all corners are
// looked at, the extremes of each moment between two operations, and what is chosen by chance for that long.
const (
	short        = 2 * time.Second
	shortCorners = 50 // of about 300
	perDisk      = 4  // states that are chosen of one moment
	byProcess    = 3  // servers that run in a process of their own
)

// TestPowerLossLosesNothingAcknowledged records what the server does to its files,
// and looks at what may be left of them when the power goes: for the moments when
// something was acknowledged the states that are most unlike each other, and then,
// for as long as client.Long says, others that are chosen by chance.
func TestPowerLossLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	seed := uint64(client.Seed(t))
	r := recordAll(t)
	if t.Failed() {
		return
	}
	l := &looking{record: r, dir: memory(t), known: map[[sha256.Size]byte]*result{}}
	t.Logf("%d operations, %d steps", len(r.ops), len(r.steps))
	l.wantAllKinds(t)
	l.corners(t, rand.New(rand.NewPCG(seed, 0)))
	end := time.Now().Add(client.Long(t, short))
	var group gosync.WaitGroup
	for n := range runtime.GOMAXPROCS(0) {
		group.Go(func() { l.byChance(t, rand.New(rand.NewPCG(seed, uint64(n)+1)), end) })
	}
	group.Wait()
	t.Logf("%d states, %d of them with other files than all before", l.checked, len(l.known))
}

// looking looks at images, each of them once.
type looking struct {
	*record
	dir string // where the images are made

	mu      gosync.Mutex
	known   map[[sha256.Size]byte]*result
	checked int
	failed  int
}

// result is what an image shows.
type result struct {
	once gosync.Once
	seen map[string]held
	err  error
}

// wantAllKinds fails the test unless the record has each kind of operation that the
// promise rests on: without them, nothing is tried.
func (l *looking) wantAllKinds(t *testing.T) {
	t.Helper()
	count := map[Kind]int{}
	for _, op := range l.ops {
		count[op.Kind]++
	}
	for _, kind := range []Kind{Create, Write, Sync, SyncDir, Rename, Remove} {
		if count[kind] == 0 {
			t.Errorf("no %s was recorded, of %d operations", kind, len(l.ops))
		}
	}
}

// corner is a moment, and one of the states there.
type corner struct {
	n     int // operations
	state int // of the Corners
}

// corners looks at the corners of all moments when something was over, and, with the
// time for it, at the extremes of all other moments, in an order that is chosen by
// chance, and at some of them with servers in processes of their own.
func (l *looking) corners(t *testing.T, random *rand.Rand) {
	var all []corner
	for _, n := range l.moments {
		for state := range NewDisk().Corners() {
			all = append(all, corner{n, state})
		}
	}
	if client.Full(t) {
		for n := range len(l.ops) + 1 {
			for state := range extremes {
				all = append(all, corner{n, state})
			}
		}
	}
	random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	if !client.Full(t) {
		all = all[:min(len(all), shortCorners)]
	}
	next := make(chan corner)
	var group gosync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for c := range next {
				l.corner(t, c, here)
			}
		})
	}
	for i, c := range all {
		if i < byProcess {
			l.corner(t, c, elsewhere(t))
		} else if !l.enough() {
			next <- c
		}
	}
	close(next)
	group.Wait()
}

func (l *looking) corner(t *testing.T, c corner, open visit) {
	d, err := After(l.ops[:c.n])
	if err != nil {
		t.Error(err)
		return
	}
	l.check(t, d, c.n, d.Corners()[c.state], open)
}

// byChance looks at states until end.
func (l *looking) byChance(t *testing.T, random *rand.Rand, end time.Time) {
	report := time.Now().Add(time.Minute)
	for time.Now().Before(end) && !l.enough() {
		n := l.someMoment(random)
		d, err := After(l.ops[:n])
		if err != nil {
			t.Error(err)
			return
		}
		states := d.States(random, 1+len(d.Corners()))
		for range perDisk {
			l.check(t, d, n, states[random.IntN(len(states))], here)
		}
		if time.Now().After(report) {
			report = time.Now().Add(time.Minute)
			l.mu.Lock()
			t.Logf("%s left: %d states so far", time.Until(end).Round(time.Second), l.checked)
			l.mu.Unlock()
		}
	}
}

// someMoment chooses a number of operations. Most operations are the writes of
// large manifests to the log; half of the time they do not count.
func (l *looking) someMoment(random *rand.Rand) int {
	n := random.IntN(len(l.ops) + 1)
	if random.IntN(2) == 0 {
		return n
	}
	for n < len(l.ops) && l.ops[n].Kind == Write {
		n = random.IntN(len(l.ops) + 1)
	}
	return n
}

// enough reports whether more failures would tell nothing new.
func (l *looking) enough() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed > 10
}

// check looks at one state after n operations.
func (l *looking) check(t *testing.T, d *Disk, n int, s State, open visit) {
	image := d.Image(s)
	sum := image.Sum()
	l.mu.Lock()
	res, ok := l.known[sum]
	if !ok {
		res = &result{}
		l.known[sum] = res
	}
	l.mu.Unlock()
	res.once.Do(func() {
		found := l.lookAt(t.Context(), image, open)
		res.seen, res.err = found.seen, found.err
	})
	l.judge(t, n, s, res)
}

// lookAt opens an image and returns what it shows.
func (l *looking) lookAt(ctx context.Context, image Image, open visit) *result {
	res := &result{}
	dir, err := os.MkdirTemp(l.dir, "image")
	if err == nil {
		defer os.RemoveAll(dir) //nolint:errcheck // it goes with the test
		err = image.Write(dir)
	}
	if err == nil {
		err = open(ctx, dataIn(dir), func(ctx context.Context, c *client.Client) (err error) {
			if res.seen, err = l.look(ctx, c); err == nil {
				err = l.goOn(ctx, c, res.seen)
			}
			return err
		})
	}
	res.err = err
	return res
}

// judge compares what was seen with what may be there after n operations.
func (l *looking) judge(t *testing.T, n int, s State, res *result) {
	err := res.err
	if err == nil {
		for _, repo := range l.repos() {
			err = errors.Join(err, compare(repo, res.seen[repo], l.expected(repo, n)))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checked++
	if err != nil {
		l.failed++
	}
	if err != nil && l.failed <= 10 {
		t.Errorf("after %d operations, under way: %s; what survived: %s:\n%v\nthe last operations:\n%s", n, l.underWay(n), s, err, l.last(n))
	}
}

// last describes the last of n operations.
func (l *looking) last(n int) string {
	var lines []string
	for _, op := range l.ops[max(0, n-8):n] {
		lines = append(lines, "  "+op.String())
	}
	return strings.Join(lines, "\n")
}
