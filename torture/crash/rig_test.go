package crash

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/aftermath"
	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/world"
)

// settings are those of the server: what is cut off by a stop is cut off soon, and what
// nobody holds any more is removed at each start.
const settings = "open: true\nlog: {access: false}\nlimits: {stop_timeout: 1s}\nregistry: {free_after: 0s}\n"

// patience bounds what has to come to an end on a machine that is busy.
const patience = 5 * time.Minute

// inTheMiddle is the kind of kill after which the janitor had not ended.
const inTheMiddle = "in the janitor, in the middle"

// rig is one data directory and the server on it, which is ended in all the ways.
type rig struct {
	t      *testing.T
	data   string
	config string
	random *rand.Rand // the moments
	server *testserver.Server
	took   time.Duration // the last start
	kills  map[string]int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{
		t: t, data: filepath.Join(dir, "data"), config: filepath.Join(dir, "moorgate.yaml"), kills: map[string]int{},
		random: rand.New(rand.NewPCG(uint64(client.Seed(t)), 0)),
	}
	if err := os.WriteFile(r.config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// moment returns a random time below most.
func (r *rig) moment(most time.Duration) time.Duration {
	return time.Duration(r.random.Int64N(int64(most)))
}

func (r *rig) launch() *testserver.Server {
	return testserver.Launch(r.t, "--data", r.data, "--config", r.config)
}

// start starts the server, and returns a client of it.
func (r *rig) start() *client.Client {
	r.t.Helper()
	begin := time.Now()
	r.server = r.launch()
	if err := r.server.AwaitListening(); err != nil {
		r.t.Fatalf("after a kill the server does not start: %v\n%s", err, r.server.Log())
	}
	r.took = time.Since(begin)
	return client.New(r.t, r.server.URL)
}

// kill ends the server as a crash does.
func (r *rig) kill() {
	r.server.Kill()
	r.wantKilled(r.server)
	r.kills["under load"]++
}

// killAtStart starts the server and kills it at some moment on its way.
func (r *rig) killAtStart() {
	r.t.Helper()
	s := r.launch()
	wait(r.moment(r.took + 10*time.Millisecond))
	s.Kill()
	r.wantKilled(s)
	r.kills["at its start"]++
}

// killAtStop asks the server to stop, and kills it at some moment on its way, or
// behind its end.
func (r *rig) killAtStop() {
	r.t.Helper()
	if err := r.server.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	wait(r.moment(1300 * time.Millisecond)) // a little more than stop_timeout
	r.server.Kill()
	r.wantKilled(r.server)
	r.kills["at its stop"]++
}

// killInJanitor leaves much for the janitor to remove, and kills the server while it
// does. No server may run.
func (r *rig) killInJanitor() {
	r.t.Helper()
	r.litter(200)
	s := r.launch()
	if err := s.AwaitListening(); err != nil {
		r.t.Fatalf("%v\n%s", err, s.Log())
	}
	wait(r.moment(30 * time.Millisecond))
	s.Kill()
	r.wantKilled(s)
	r.kills["in the janitor"]++
	if left, err := filepath.Glob(filepath.Join(r.data, "uploads", "litter-*")); err == nil && len(left) > 0 {
		r.kills[inTheMiddle]++
	}
}

// wantKilled fails the test if the server had ended by itself, with an error.
func (r *rig) wantKilled(s *testserver.Server) {
	r.t.Helper()
	var exit *exec.ExitError
	if err := s.Wait(); errors.As(err, &exit) && exit.Exited() {
		r.t.Fatalf("the server ended by itself: %v\n%s", err, s.Log())
	}
}

// litter leaves n uploads that have expired: half of them sessions, half of them
// files that no session knows; and some blobs that were stored and never linked.
func (r *rig) litter(n int) {
	t := r.t
	t.Helper()
	blobs, err := disk.Open(disk.Config{Dir: r.data})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: filepath.Join(r.data, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // what it should hold is committed
	old := time.Now().Add(-48 * time.Hour)
	for range n {
		session := r.upload(blobs, old)
		if r.random.IntN(2) == 0 {
			continue
		}
		if err := store.UpdateRelaxed(t.Context(), func(tx meta.Tx) error { return tx.SaveUpload(session) }); err != nil {
			t.Fatal(err)
		}
	}
	for range n / 20 {
		content := client.Random(1000)
		up, err := blobs.Upload(t.Context(), blob.State{ID: litterID(), Algorithm: oci.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		_, err = up.Append(t.Context(), bytes.NewReader(content))
		if err := errors.Join(err, up.Commit(t.Context(), oci.Digest(client.Digest(content)))); err != nil {
			t.Fatal(err)
		}
	}
}

// upload leaves the bytes of an upload that was begun at old, and returns a session for
// it that has expired.
func (r *rig) upload(blobs *disk.Store, old time.Time) meta.Upload {
	r.t.Helper()
	id := litterID()
	up, err := blobs.Upload(r.t.Context(), blob.State{ID: id, Algorithm: oci.SHA256})
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = up.Append(r.t.Context(), bytes.NewReader(client.Random(1000)))
	state, err2 := up.State()
	if err := errors.Join(err, err2, up.Close(), os.Chtimes(filepath.Join(r.data, "uploads", id), old, old)); err != nil {
		r.t.Fatal(err)
	}
	return meta.Upload{Repo: "litter", State: state, StartedAt: old, ExpiresAt: old}
}

func litterID() string { return "litter-" + hex.EncodeToString(client.Random(10)) }

// restart starts the server after it was killed, now and then by way of a start
// that is killed, too.
func (r *rig) restart() *client.Client {
	r.t.Helper()
	for r.random.IntN(3) == 0 {
		r.killAtStart()
	}
	return r.start()
}

// finish stops the server and looks at what it leaves behind: nothing of uploads,
// whole files, and one for each blob that a repository holds.
func (r *rig) finish(worlds ...*world.World) {
	t := r.t
	t.Helper()
	if err := r.server.Stop(); err != nil {
		t.Fatal(err)
	}
	found, err := aftermath.Check(t.Context(), r.data)
	if err != nil {
		t.Error(err)
	}
	t.Logf("at the end the janitor removed %d uploads, and %d blobs that nobody held; %d stay", found.Uploads, found.Freed, len(found.Blobs))
	for _, w := range worlds {
		for d := range w.Blobs {
			if !found.Blobs[d] {
				t.Errorf("no file for blob %s", d)
			}
		}
	}
}

// wait waits: what is tried is what happens at this moment.
func wait(d time.Duration) { <-time.After(d) }
