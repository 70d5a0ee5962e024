package limits

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/client"
)

// patience bounds the wait for anything that has to happen, on a machine that does
// many other things.
const patience = 2 * time.Minute

// spareFiles is by how many the open files of a server may differ between two
// moments of rest: the database opens some more when it needs them.
const spareFiles = 40

// server is a registry where everybody may do everything.
type server struct {
	*testserver.Server
	door *control.Client
}

// impatient is the settings of a server that waits for so short that a test can wait
// for it, and for longer than a client that means well stands still on a machine that
// is busy. What has to go well at the first attempt is asked of a patient server
// before, in the same home.
const (
	impatient = "header_timeout: 2s, idle_timeout: 3s"
	patient   = ""
)

// start runs a server with settings of the section "limits".
func start(t *testing.T, limits string) *server {
	t.Helper()
	return startIn(t, newHome(t), limits)
}

// newHome returns a directory for a server, and for those that follow it.
func newHome(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "limits") // short: the path of a socket has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // after the server, which has ended by then
	return dir
}

// startIn is start on what others have left in home.
func startIn(t *testing.T, home, limits string) *server {
	t.Helper()
	config := filepath.Join(home, "moorgate.yaml")
	text := fmt.Sprintf("open: true\nlog: {access: false}\nlimits: {stop_timeout: 2s, %s}\n", limits)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(home, "data")
	s := &server{testserver.Start(t, "--data", data, "--config", config), control.Dial(data)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the server:\n%.5000s", s.Log())
		}
	})
	return s
}

// stop ends the server, so that another one can follow it.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// status is how the server is, as "moorgate status" tells.
func (s *server) status(t *testing.T) control.Status {
	t.Helper()
	st, err := s.door.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// rests waits until no more files are open than at a moment of rest before.
func (s *server) rests(t *testing.T, before control.Status) {
	t.Helper()
	eventually(t, "only as many open files as before", func() bool {
		return s.status(t).Files <= before.Files+spareFiles
	})
}

// dial opens a connection on which everything has to happen in time.
func (s *server) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// works fails the test unless somebody else can push and pull now. A server that is
// impatient may cut even those, on a machine that stands still: they try again.
func (s *server) works(t *testing.T) {
	t.Helper()
	c := client.New(t, s.URL)
	defer c.HTTP.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := pushAndPull(ctx, c)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		t.Logf("others try again: %v", err)
	}
}

func pushAndPull(ctx context.Context, c *client.Client) error {
	if _, err := image(ctx, c, "works/app"); err != nil {
		return err
	}
	for range 10 {
		if _, err := c.Manifest(ctx, "works/app", "v1"); err != nil {
			return err
		}
	}
	return nil
}

// image pushes a small image with the tag v1, and returns the content of its blob.
func image(ctx context.Context, c *client.Client, repo string) ([]byte, error) {
	content := client.Random(4 << 10)
	if err := c.PushBlob(ctx, repo, content); err != nil {
		return nil, err
	}
	return content, c.PutManifest(ctx, repo, "v1", client.Manifest(content))
}

// session begins an upload and returns its path.
func session(t *testing.T, c *client.Client, repo string) string {
	t.Helper()
	a, err := c.Want(t.Context(), http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.Header.Get("Location")
}

// eventually waits until ok, and fails the test if that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
		<-tick.C
	}
}

// every calls f again and again until it returns false.
func every(pause time.Duration, f func() bool) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for f() {
		<-tick.C
	}
}

// atOnce calls f with 0 to n-1, all at the same time, and returns when all have
// returned.
func atOnce(n int, f func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { f(i) })
	}
	group.Wait()
}

// quantile returns the time below which a part q of the times are. It sorts them.
func quantile(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return times[min(int(q*float64(len(times))), len(times)-1)]
}
