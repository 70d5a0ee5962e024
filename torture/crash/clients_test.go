package crash

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/world"
)

// shortClients is what "make test" gives to the test with real clients.
const shortClients = 9 * time.Second

// TestRealClientsLoseNothingAcknowledged lets crane and skopeo work while the server
// is killed and comes back at the same address. What a command that ended with exit
// code 0 has done must be there, byte for byte; one that failed has done all of it or
// nothing that can be seen, but for content without a name. What nobody came to do
// before a kill, on a slow machine, is done in the end, when nobody kills.
func TestRealClientsLoseNothingAcknowledged(t *testing.T) {
	t.Parallel()
	c := &fleet{rig: newRig(t), machine: newMachine(t), door: openDoor(t)}
	c.begin()
	end := time.Now().Add(client.Long(t, shortClients))
	rounds := 0
	for ; rounds < 3 || time.Now().Before(end); rounds++ {
		c.round(c.killSome)
	}
	calm := 0
	for ; c.missing() != ""; calm++ {
		if time.Now().After(end.Add(patience)) {
			t.Fatalf("in %d rounds and %d without a kill nobody could %s", rounds, calm, c.missing())
		}
		c.round(c.calm)
	}
	t.Logf("%d rounds, and %d without a kill; killed: %v; acknowledged: %v; cut off: %d; a command takes up to %s",
		rounds, calm, c.kills, c.done(), c.cut.Load(), time.Duration(c.slowest.Load()))
	worlds := []*world.World{c.base}
	for _, p := range c.people {
		worlds = append(worlds, p.World)
	}
	c.finish(worlds...)
}

// fleet is many people with real clients.
type fleet struct {
	*rig
	machine *machine
	door    *door
	images  []*image     // of the repository that others copy from
	base    *world.World // that repository
	people  []*person

	epoch atomic.Int64 // changes when the server is killed, and when it is there again
	cut   atomic.Int64 // commands that failed while it was killed

	slowest atomic.Int64 // how long a command has taken while the server ran, nanoseconds
}

// craft is a kind of command.
type craft struct {
	name string
	step func(p *person) (world.Step, bool) // false: there is nothing to do it with
}

// crafts are all of them.
var crafts = []craft{
	{"crane push", (*person).cranePush},
	{"crane push an index", (*person).craneIndex},
	{"crane tag", (*person).craneTag},
	{"crane copy", (*person).craneCopy},
	{"crane delete a tag", (*person).craneUntag},
	{"crane delete a manifest", (*person).craneDelete},
	{"skopeo copy there", (*person).skopeoPush},
	{"skopeo copy across", (*person).skopeoCopy},
	{"skopeo delete", (*person).skopeoDelete},
}

// begin pushes what is copied later.
func (c *fleet) begin() {
	c.t.Helper()
	c.start()
	c.door.lead(c.server.Addr)
	c.base = world.New()
	for n := range 3 {
		i := newImage(20_000)
		dir, err := i.layout(c.machine.home)
		if err == nil {
			err = c.machine.run(c.t.Context(), "crane push %s %s/base/images:v%d", dir, c.door.addr, n)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		i.note(c.base, fmt.Sprintf("v%d", n))
		c.images = append(c.images, i)
	}
	for n := range 4 {
		seed := c.random.Uint64()
		repo := fmt.Sprintf("person%d/app", n)
		c.people = append(c.people, &person{
			Worker: world.NewWorker(repo, world.Base{}, seed), fleet: c, random: rand.New(rand.NewPCG(seed, 1)), next: n * 2,
		})
	}
}

// done returns how often each command was acknowledged.
func (c *fleet) done() map[string]int {
	all := map[string]int{}
	for _, p := range c.people {
		for what, n := range p.Done {
			all[what] += n
		}
	}
	return all
}

// missing returns the kind of command that was not done yet; "" if there is none.
func (c *fleet) missing() string {
	done := c.done()
	i := slices.IndexFunc(crafts, func(k craft) bool { return done[k.name] == 0 })
	if i < 0 {
		return ""
	}
	return crafts[i].name
}

// round does something to the server under people at work, and looks at all that is
// there when they have ended.
func (c *fleet) round(meanwhile func()) {
	c.t.Helper()
	var group sync.WaitGroup
	var over atomic.Bool
	first := make(chan struct{}) // a slow machine gets as far as a fast one
	begun := sync.OnceFunc(func() { close(first) })
	for _, p := range c.people {
		group.Go(func() {
			defer begun()
			for !over.Load() && p.work(c.t) {
				begun()
			}
		})
	}
	<-first
	meanwhile()
	over.Store(true)
	group.Wait()
	api := client.New(c.t, c.server.URL)
	for _, p := range c.people {
		group.Go(func() { p.look(c.t, api) })
	}
	group.Wait()
	if err := c.base.Check(c.t.Context(), api, "base/images"); err != nil {
		c.t.Error(err)
	}
	if c.t.Failed() {
		c.t.Fatalf("log of the server:\n%s", c.server.Log())
	}
}

// killSome kills the server, once or a few times.
func (c *fleet) killSome() {
	for again := true; again; again = c.random.IntN(3) == 0 {
		c.calm()
		c.killAndReturn()
	}
}

// calm lets people work for a moment, in which one of them can often end a command.
func (c *fleet) calm() {
	wait(c.moment(max(700*time.Millisecond, 2*time.Duration(c.slowest.Load()))))
}

// lasted notes how long a command has taken.
func (c *fleet) lasted(d time.Duration) {
	for {
		before := c.slowest.Load()
		if int64(d) <= before || c.slowest.CompareAndSwap(before, int64(d)) {
			return
		}
	}
}

// killAndReturn kills the server, under load or while it stops, and starts it again.
func (c *fleet) killAndReturn() {
	c.epoch.Add(1)
	if c.random.IntN(4) == 0 {
		c.killAtStop()
	} else {
		c.kill()
	}
	c.door.lead("")
	c.restart()
	c.door.lead(c.server.Addr)
	c.epoch.Add(1)
}
