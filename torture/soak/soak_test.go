package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/client"
)

const (
	users    = 6
	short    = 6 * time.Second // what "make test" gives
	samples  = 120             // in the whole time
	patience = 2 * time.Minute // for what has to happen, on a busy machine
)

// By how much may differ what is open at two moments of rest: the database opens some
// files when it needs them.
const (
	spareFiles      = 40
	spareGoroutines = 40
)

// TestWorkLeavesNothingBehind runs for as long as client.Long says.
func TestWorkLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := start(t)
	random := rand.New(rand.NewPCG(uint64(client.Seed(t)), 0))
	workers := make([]*worker, users)
	for i := range workers {
		workers[i] = newWorker(t, s, i, rand.New(rand.NewPCG(random.Uint64(), 0)))
	}
	s.work(t, workers, time.Now()) // one round: now all is open that stays open
	before := s.rest(t, workers)
	lasts := client.Long(t, short)
	taken := s.sample(t, lasts, func() { s.work(t, workers, time.Now().Add(lasts)) })
	if t.Failed() {
		t.Fatalf("log of the server:\n%.5000s", s.Log())
	}
	done := map[string]int{}
	for _, w := range workers {
		for what, n := range w.done {
			done[what] += n
		}
	}
	t.Logf("done: %v\n%s", done, table(taken))
	if client.Full(t) {
		flat(t, taken)
	}
	var after control.Status
	eventually(t, func() string {
		after = s.rest(t, workers)
		if after.Files > before.Files+spareFiles || after.Goroutines > before.Goroutines+spareGoroutines {
			return fmt.Sprintf("%d files open and %d goroutines, before the work %d and %d", after.Files, after.Goroutines, before.Files, before.Goroutines)
		}
		return ""
	})
	t.Logf("at rest %d files open and %d goroutines, before the work %d and %d", after.Files, after.Goroutines, before.Files, before.Goroutines)
}

// server is a registry with some users, who may do everything.
type server struct {
	*testserver.Server
	door *control.Client
}

func password(user int) (name, word string) {
	return fmt.Sprintf("user%d", user), fmt.Sprintf("the password of user%d", user)
}

func start(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "soak") // short: the path of a socket has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // after the server, which has ended by then
	file, config, data := filepath.Join(dir, "users"), filepath.Join(dir, "moorgate.yaml"), filepath.Join(dir, "data")
	for i := range users {
		name, word := password(i)
		hash, err := htpasswd.Hash(word, 4)
		if err == nil {
			_, err = htpasswd.Set(file, name, hash)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Verified tokens are remembered as long as they live: for a minute, so that there
	// are soon as many as there will ever be.
	if err := os.WriteFile(config, []byte("log: {access: false}\ntoken: {ttl: 1m}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &server{testserver.Start(t, "--data", data, "--config", config, "--htpasswd", file), control.Dial(data)}
}

// work lets all workers work, each at least one round, until the end.
func (s *server) work(t *testing.T, workers []*worker, end time.Time) {
	ctx, cancel := context.WithDeadline(t.Context(), end.Add(patience))
	defer cancel()
	var group sync.WaitGroup
	for _, w := range workers {
		group.Go(func() {
			if err := w.run(ctx, end); err != nil {
				t.Errorf("%s: %v", w.repo, err)
			}
		})
	}
	group.Wait()
}

// rest closes the connections of all workers, and returns how the server is then.
func (s *server) rest(t *testing.T, workers []*worker) control.Status {
	t.Helper()
	for _, w := range workers {
		w.client.HTTP.CloseIdleConnections()
	}
	st, err := s.door.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// sample runs work and looks at the server meanwhile.
func (s *server) sample(t *testing.T, lasts time.Duration, work func()) []control.Status {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); work() }()
	tick := time.NewTicker(max(lasts/samples, 50*time.Millisecond))
	defer tick.Stop()
	var taken []control.Status
	for {
		select {
		case <-done:
			return taken
		case <-tick.C:
		}
		st, err := s.door.Status(t.Context())
		if err != nil {
			t.Error(err)
			<-done
			return taken
		}
		taken = append(taken, st)
	}
}

// eventually waits until wrong says nothing.
func eventually(t *testing.T, wrong func() string) {
	t.Helper()
	end := time.Now().Add(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for what := wrong(); what != ""; what = wrong() {
		if time.Now().After(end) {
			t.Fatalf("after %s: %s", patience, what)
		}
		<-tick.C
	}
}
