package crash

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/gc"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/client"
)

const (
	workers  = 6
	baseRepo = "base/images"
	short    = 8 * time.Second // what "make test" gives
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
		for what, n := range w.done {
			done[what] += n
		}
	}
	t.Logf("killed %d times; acknowledged: %v", rounds, done)
	for _, what := range []string{"push at once", "push as docker does", "push in chunks", "mount", "push a manifest", "move a tag", "delete a tag", "delete a manifest", "delete a blob"} {
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
	workers      []*worker
}

func (c *crashing) start() {
	c.t.Helper()
	c.server = testserver.Start(c.t, "--data", c.data, "--config", c.config)
	c.client = client.New(c.t, c.server.URL)
}

// begin pushes what is mounted later.
func (c *crashing) begin() {
	c.start()
	var base [][]byte
	for range 10 {
		content := client.Random(10_000)
		base = append(base, content)
		if err := c.client.PushBlobAtOnce(c.t.Context(), baseRepo, content); err != nil {
			c.t.Fatal(err)
		}
	}
	for n := range workers {
		c.workers = append(c.workers, &worker{
			repo: "team" + string(rune('a'+n)) + "/app", base: base, world: newWorld(), done: map[string]int{},
			random: rand.New(rand.NewPCG(c.random.Uint64(), 0)),
		})
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
			if err := w.run(ctx, c.client); err != nil {
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
			if err := w.settle(ctx, c.client); err != nil {
				c.t.Errorf("after a kill: %s: %v", w.repo, err)
			}
		})
	}
	group.Wait()
	if c.t.Failed() {
		c.t.Fatalf("log of the server:\n%s", c.server.Log())
	}
}

// cleanUp stops the server, runs the janitor, and looks at the files.
func (c *crashing) cleanUp() {
	t := c.t
	if err := c.server.Stop(); err != nil {
		t.Fatal(err)
	}
	blobs, err := disk.Open(disk.Config{Dir: c.data})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: filepath.Join(c.data, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // it was only read
	later := func() time.Time { return time.Now().Add(48 * time.Hour) }
	janitor := gc.Uploads{Blobs: blobs, Meta: store, Log: slog.New(slog.DiscardHandler), Now: later, Expiry: time.Hour}
	n, err := janitor.Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the janitor removed %d uploads", n)
	left, err := filepath.Glob(filepath.Join(c.data, "uploads", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind by uploads: %q, %v", left, err)
	}
	c.wholeFiles()
}

// wholeFiles fails the test unless each file has the content that its name says,
// and every blob that was acknowledged is one of them.
func (c *crashing) wholeFiles() {
	t := c.t
	files, err := filepath.Glob(filepath.Join(c.data, "blobs", "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	for _, file := range files {
		stored["sha256:"+filepath.Base(file)] = true
		if sum := sum(t, file); sum != filepath.Base(file) {
			t.Errorf("%s has the digest %s", file, sum)
		}
	}
	for _, w := range c.workers {
		for _, d := range slices.Sorted(maps.Keys(w.world.blobs)) {
			if !stored[d] {
				t.Errorf("no file for blob %s", d)
			}
		}
	}
}

func sum(t *testing.T, file string) string {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
