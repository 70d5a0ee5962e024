package crash

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/world"
)

const (
	workers = 6
	short   = 7 * time.Second // what "make test" gives
)

// TestKilledServerLosesNothingAcknowledged runs for as long as client.Long says, and
// until each step was acknowledged and the server was killed in each way.
func TestKilledServerLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	c := &crashing{rig: newRig(t)}
	c.begin()
	end := time.Now().Add(client.Long(t, short))
	rounds := 0
	for ; rounds < 5 || time.Now().Before(end) || c.missing() != ""; rounds++ {
		if time.Now().After(end.Add(patience)) {
			t.Fatalf("in %d rounds nobody could %s", rounds, c.missing())
		}
		c.round(rounds)
	}
	t.Logf("%d rounds; killed: %v; acknowledged: %v", rounds, c.kills, c.done())
	var worlds []*world.World
	for _, w := range c.workers {
		worlds = append(worlds, w.World)
	}
	c.finish(worlds...)
}

type crashing struct {
	*rig
	client  *client.Client
	workers []*world.Worker
}

// begin pushes what is mounted later.
func (c *crashing) begin() {
	c.client = c.start()
	base, err := world.PushBase(c.t.Context(), c.client, "base/images")
	if err != nil {
		c.t.Fatal(err)
	}
	for n := range workers {
		c.workers = append(c.workers, world.NewWorker("team"+string(rune('a'+n))+"/app", base, c.random.Uint64()))
	}
}

// done returns how often each step was acknowledged.
func (c *crashing) done() map[string]int {
	all := map[string]int{}
	for _, w := range c.workers {
		for what, n := range w.Done {
			all[what] += n
		}
	}
	return all
}

// missing returns what was not done yet; "" if everything was.
func (c *crashing) missing() string {
	done := c.done()
	maps.Copy(done, c.kills)
	wanted := append(world.Kinds(), "under load", "at its start", "at its stop", "in the janitor")
	if client.Full(c.t) { // the janitor is quick, and a short test seldom lucky
		wanted = append(wanted, inTheMiddle)
	}
	if i := slices.IndexFunc(wanted, func(what string) bool { return done[what] == 0 }); i >= 0 {
		return wanted[i]
	}
	return ""
}

// round lets all workers work, ends the server at some moment, starts it again and
// looks at all that is there.
func (c *crashing) round(n int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var group sync.WaitGroup
	first := make(chan struct{}) // a slow machine gets as far as a fast one
	begun := sync.OnceFunc(func() { close(first) })
	for _, w := range c.workers {
		group.Go(func() {
			defer begun()
			if err := w.Run(ctx, c.client, begun); err != nil {
				c.t.Error(err)
			}
		})
	}
	<-first
	wait(c.moment(420 * time.Millisecond))
	if n%3 == 2 {
		c.killAtStop()
	} else {
		c.kill()
	}
	group.Wait()
	if n%4 == 1 {
		c.killInJanitor()
	}
	c.client = c.restart()
	for _, w := range c.workers {
		group.Go(func() {
			if err := w.Settle(ctx, c.client); err != nil {
				c.t.Errorf("after a kill: %s: %v", w.Repo, err)
			}
		})
	}
	group.Wait()
	if c.t.Failed() {
		c.t.Fatalf("log of the server:\n%s", c.server.Log())
	}
}
