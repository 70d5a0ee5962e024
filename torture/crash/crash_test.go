package crash

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/aftermath"
	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/world"
)

const (
	workers = 6
	short   = 8 * time.Second // what "make test" gives
)

// TestKilledServerLosesNothingAcknowledged runs for as long as client.Long says.
func TestKilledServerLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &crashing{t: t, dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, 0))}
	c.data = filepath.Join(c.dir, "data")
	c.config = filepath.Join(c.dir, "moorgate.yaml")
	if err := os.WriteFile(c.config, []byte("open: true\nlog: {access: false}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.begin()
	end := time.Now().Add(client.Long(t, short))
	rounds := 0
	for ; rounds < 3 || time.Now().Before(end); rounds++ {
		c.round(time.Duration(20+c.random.IntN(400)) * time.Millisecond)
	}
	done := map[string]int{}
	for _, w := range c.workers {
		for what, n := range w.Done {
			done[what] += n
		}
	}
	t.Logf("killed %d times; acknowledged: %v", rounds, done)
	for _, what := range world.Kinds() {
		if done[what] == 0 {
			t.Errorf("%q was never done: the test tests too little", what)
		}
	}
	c.cleanUp()
}

type crashing struct {
	t            *testing.T
	dir          string
	data, config string
	random       *rand.Rand
	server       *testserver.Server
	client       *client.Client
	workers      []*world.Worker
}

func (c *crashing) start() {
	c.t.Helper()
	c.server = testserver.Start(c.t, "--data", c.data, "--config", c.config)
	c.client = client.New(c.t, c.server.URL)
}

// begin pushes what is mounted later.
func (c *crashing) begin() {
	c.start()
	base, err := world.PushBase(c.t.Context(), c.client, "base/images")
	if err != nil {
		c.t.Fatal(err)
	}
	for n := range workers {
		c.workers = append(c.workers, world.NewWorker("team"+string(rune('a'+n))+"/app", base, c.random.Uint64()))
	}
}

// round lets all workers work, kills the server after a while, starts it again and
// looks at all that is there.
func (c *crashing) round(after time.Duration) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for _, w := range c.workers {
		group.Go(func() {
			if err := w.Run(ctx, c.client); err != nil {
				c.t.Error(err)
			}
		})
	}
	timer := time.NewTimer(after)
	<-timer.C
	c.server.Kill()
	group.Wait()
	c.start()
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

// cleanUp stops the server, and looks at what it leaves behind: every blob that was
// acknowledged is a file.
func (c *crashing) cleanUp() {
	if err := c.server.Stop(); err != nil {
		c.t.Fatal(err)
	}
	found, err := aftermath.Check(c.t.Context(), c.data)
	if err != nil {
		c.t.Error(err)
	}
	c.t.Logf("the janitor removed %d uploads", found.Uploads)
	for _, w := range c.workers {
		for d := range w.World.Blobs {
			if !found.Blobs[d] {
				c.t.Errorf("no file for blob %s", d)
			}
		}
	}
}
