package trail_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/audit/trail"
)

// output is a buffer for several goroutines.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *output) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *output) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// clock is one that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a trail, and what it says.
type rig struct {
	*trail.Trail
	log, stdout output
	clock       *clock
	closed      bool
}

// open opens a trail until the end of the test.
func open(t testing.TB, c trail.Config) *rig {
	t.Helper()
	r := &rig{clock: &clock{now: time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)}}
	var err error
	r.Trail, err = trail.Open(c, trail.Options{Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: r.clock.Now, Stdout: &r.stdout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !r.closed {
			r.end(t)
		}
	})
	return r
}

// end closes the trail.
func (r *rig) end(t testing.TB) {
	t.Helper()
	r.closed = true
	if err := r.Close(); err != nil {
		t.Errorf("close: %v\n%s", err, r.log.String())
	}
}

// done records a push by somebody.
func (r *rig) done(t testing.TB, user string) {
	t.Helper()
	r.Record(t.Context(), push(user))
}

func push(user string) audit.Record {
	return audit.Record{
		Outcome: audit.Done, Operation: "manifest-put", Who: access.Identity{User: user, Source: "test"},
		Scope: access.Scope{Action: access.Push, Repo: "team/app", Tag: "v1"},
	}
}

// config is a trail to a file in a new folder.
func config(t testing.TB) trail.Config {
	t.Helper()
	c := trail.Default()
	c.File.Path = filepath.Join(t.TempDir(), "log", "audit.log")
	return c
}

// users returns who did something, by what stands in files, which may be compressed.
func users(t testing.TB, files ...string) []string {
	t.Helper()
	var list []string
	for _, file := range files {
		text := readAll(t, file)
		if len(text) > 0 && text[len(text)-1] != '\n' {
			t.Errorf("%s ends within a line", file)
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			var l struct {
				V    int
				User string
			}
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.V != audit.Version {
				t.Errorf("%s: version %d, %v: %q", file, l.V, err, lines.Text())
			}
			list = append(list, l.User)
		}
	}
	return list
}

func readAll(t testing.TB, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	var in io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return text
}

// await polls until ok, for as long as a slow machine may take.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// What is read, and what is only decided, is no record unless it is asked for.
func TestWhatIsRecorded(t *testing.T) {
	t.Parallel()
	record := func(user string, outcome audit.Outcome, action access.Action) audit.Record {
		return audit.Record{Outcome: outcome, Who: access.Identity{User: user}, Scope: access.Scope{Action: action, Repo: "a"}}
	}
	for pulls, want := range map[bool][]string{
		false: {"denied", "failed login", "pushed", "failed", "unknown"},
		true:  {"denied", "failed login", "pushed", "failed", "unknown", "pulled", "listed"},
	} {
		c := config(t)
		c.Pulls = pulls
		r := open(t, c)
		for _, one := range []audit.Record{
			record("denied", audit.Denied, access.Pull),
			record("failed login", audit.LoginFailed, ""),
			record("pushed", audit.Done, access.Push),
			record("failed", audit.Failed, access.Delete),
			record("unknown", audit.Unknown, access.Overwrite),
			record("may push", audit.Allowed, access.Push),
			record("pulled", audit.Allowed, access.Pull),
			record("listed", audit.Allowed, access.List),
		} {
			r.Record(t.Context(), one)
		}
		if diff := cmp.Diff(want, users(t, c.File.Path)); diff != "" {
			t.Errorf("pulls %v (-want +got):\n%s", pulls, diff)
		}
	}
}

func TestTimeIsThatOfTheRecordElseNow(t *testing.T) {
	t.Parallel()
	c := config(t)
	r := open(t, c)
	r.done(t, "now")
	earlier := push("earlier")
	earlier.Time = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	r.Record(t.Context(), earlier)
	text := string(readAll(t, c.File.Path))
	for _, want := range []string{`"time":"2026-11-27T18:00:00.000000Z"`, `"time":"2020-01-01T00:00:00.000000Z"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

// All outputs get all records.
func TestSeveralOutputs(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Stdout = true
	server := listen(t, "unixgram", filepath.Join(t.TempDir(), "log"))
	c.Syslog.Address = "unix://" + server.address
	r := open(t, c)
	for i := range 100 {
		r.done(t, fmt.Sprint("user", i))
	}
	r.end(t)
	text := string(readAll(t, c.File.Path))
	if got := r.stdout.String(); got != text {
		t.Errorf("file:\n%s\nstdout:\n%s", text, got)
	}
	await(t, "all messages", func() bool { return len(server.messages()) == 100 })
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if message := server.messages()[i]; !strings.HasSuffix(message, ": "+line) {
			t.Errorf("message %q, line %q", message, line)
		}
	}
}

func TestNoOutput(t *testing.T) {
	t.Parallel()
	r := open(t, trail.Default())
	r.done(t, "alice")
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	if err := r.Reopen(); err != nil {
		t.Error(err)
	}
}
