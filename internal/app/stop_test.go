package app_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// chunk is more than the server reads before it writes to the disk.
const chunk = 512 << 10

// slowPatch begins a PATCH whose body the test writes bit by bit, and returns
// when its first chunk has reached the disk.
func slowPatch(t *testing.T, s *testserver.Server, c *client, session string, first []byte) (body *io.PipeWriter, done <-chan answer) {
	t.Helper()
	r, w := io.Pipe()
	ended := make(chan answer, 1)
	go func() {
		a, err := c.try(t.Context(), http.MethodPatch, session, r)
		if err != nil {
			a.body = []byte(err.Error())
		}
		_ = r.Close() // whoever writes on is told
		ended <- a
	}()
	if _, err := w.Write(first); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first bytes of the push on the disk", func() bool {
		info, err := os.Stat(filepath.Join(s.DataDir, "uploads", path.Base(session)))
		return err == nil && info.Size() > 0
	})
	return w, ended
}

func terminate(t *testing.T, s *testserver.Server) {
	t.Helper()
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	logged(t, s, "msg=\"stopping")
}

func TestRunningPushFinishesAfterSIGTERM(t *testing.T) {
	t.Parallel()
	s := start(t, "open: true\nlimits: {stop_timeout: 100s}\n")
	c := newClient(t, s, nil)
	content := randomBytes(3 * chunk)
	session := c.session(t, "app")
	body, done := slowPatch(t, s, c, session, content[:chunk])
	// While another push runs, a slow machine may take its time between the two
	// requests of this one.
	second := newClient(t, s, nil)
	other, otherDone := slowPatch(t, s, second, second.session(t, "app"), content[:chunk])

	terminate(t, s)
	eventually(t, "new connections to be refused", func() bool {
		conn, err := net.Dial("tcp", s.Addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	for rest := content[chunk:]; len(rest) > 0; rest = rest[chunk:] {
		if _, err := body.Write(rest[:chunk]); err != nil {
			t.Fatal(err)
		}
	}
	_ = body.Close()
	if a := <-done; a.status != http.StatusAccepted {
		t.Fatalf("PATCH: status %d, want 202\n%s", a.status, a.body)
	}
	finishOnSameConnection(t, c, session, content)
	_ = other.Close()
	<-otherDone
	if err := s.Wait(); err != nil {
		t.Fatalf("the server ended with %v, want exit code 0", err)
	}
	again := start(t, "open: true\n", "--data", s.DataDir)
	newClient(t, again, nil).holds(t, "app", content)
}

// finishOnSameConnection sends the PUT that ends a push: a new connection would
// be refused by now.
func finishOnSameConnection(t *testing.T, c *client, session string, content []byte) {
	t.Helper()
	reused := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
	})
	a, err := c.try(ctx, http.MethodPut, session+"?digest="+digestOf(content), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusCreated || !reused {
		t.Fatalf("PUT: status %d, connection reused %v; want 201 on the same one\n%s", a.status, reused, a.body)
	}
}

func TestStopCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	s := start(t, "open: true\nlimits: {stop_timeout: 1s}\n")
	c := newClient(t, s, nil)
	body, done := slowPatch(t, s, c, c.session(t, "app"), randomBytes(chunk))

	begin := time.Now()
	terminate(t, s)
	err := s.Wait()
	took := time.Since(begin)
	if err != nil {
		t.Errorf("the server ended with %v, want exit code 0", err)
	}
	if took < 900*time.Millisecond || took > patience {
		t.Errorf("the server ended after %s, want a little over the limit of 1s", took)
	}
	_ = body.CloseWithError(io.ErrUnexpectedEOF) // the client waits for it
	if a := <-done; a.status == http.StatusAccepted {
		t.Error("the push that was cut off was acknowledged")
	}
	logged(t, s, "level=WARN", "cut off")
}

func TestIdleServerStopsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, "open: true\nlimits: {stop_timeout: 10m}\n")
	c := newClient(t, s, nil) // keeps its connection open
	c.want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
	begin := time.Now()
	if err := s.Stop(); err != nil {
		t.Fatalf("the server ended with %v, want exit code 0", err)
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("an idle server took %s to stop", took)
	}
}

func TestSecondProcessOnTheSameDataIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "open: true\n")
	c := newClient(t, s, nil)
	content := randomBytes(1000)
	c.push(t, "app", content)
	refused(t, "the data directory "+s.DataDir+" is in use by another moorgate process", "--open", "--data", s.DataDir)
	c.holds(t, "app", content)
	if n := bytes.Count([]byte(s.Log()), []byte("level=ERROR")); n > 0 {
		t.Errorf("the first process logged %d errors:\n%s", n, s.Log())
	}
}
