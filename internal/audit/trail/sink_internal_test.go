package trail

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/audit"
)

// faulty is an output that fails when told to.
type faulty struct {
	mu    sync.Mutex
	err   error
	lines []string
}

func (f *faulty) write(e entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.Contains(string(e.text), "too long") {
		return fmt.Errorf("send: %w", errTooLong)
	}
	if f.err == nil {
		f.lines = append(f.lines, string(e.text))
	}
	return f.err
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faulty) written() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.lines...)
}

func (*faulty) close() error { return nil }

func newTestSink(t *testing.T, out output, direct bool, now func() time.Time) (*sink, *strings.Builder) {
	t.Helper()
	log := &strings.Builder{}
	return newSink("test", out, direct, Options{Log: slog.New(slog.NewTextHandler(log, nil)), Now: now}), log
}

func line(text string) entry { return entry{text: []byte(text), outcome: audit.Done} }

// What does not fit into memory is lost, the newest first, and the output says how
// much it was. Nothing else is lost, and nothing is there twice.
func TestTooMuchWaits(t *testing.T) {
	t.Parallel()
	out := &faulty{err: errors.New("no space left on device")}
	s, _ := newTestSink(t, out, true, time.Now)
	const size = 64 << 10
	const fit, more = maxHeld / size, 5
	for i := range fit + more {
		s.put(line(fmt.Sprintf("%0*d", size, i)))
	}
	out.fail(nil)
	s.put(line("after"))
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	lines := out.written()
	if len(lines) < fit+1 || len(lines) > fit+2 {
		t.Fatalf("%d lines, want %d that fitted, and about those that did not", len(lines), fit)
	}
	for i := range fit {
		if lines[i] != fmt.Sprintf("%0*d", size, i) {
			t.Errorf("line %d is %.40s…", i, lines[i])
		}
	}
	if text := lines[fit]; !strings.Contains(text, `"operation":"audit-lost"`) || !strings.Contains(text, fmt.Sprint(more)) && !strings.Contains(text, fmt.Sprint(more+1)) {
		t.Errorf("it says %s", text)
	}
}

// One line that an output never takes does not keep the others from it.
func TestLineThatIsTooLong(t *testing.T) {
	t.Parallel()
	out := &faulty{}
	s, _ := newTestSink(t, out, true, time.Now)
	for _, text := range []string{"one", "too long", "two"} {
		s.put(line(text))
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	lines := out.written()
	if len(lines) != 3 || lines[0] != "one" || !strings.Contains(lines[1], "1 records are missing") || lines[2] != "two" {
		t.Errorf("%q", lines)
	}
}

// The operator learns of a failure at once, again after a minute, and when it is
// over.
func TestOperatorIsTold(t *testing.T) {
	t.Parallel()
	out := &faulty{err: errors.New("no space left on device")}
	now := time.Now()
	s, log := newTestSink(t, out, true, func() time.Time { return now })
	close(s.stop) // nothing is tried beside this test
	<-s.done
	errors := func() int { return strings.Count(log.String(), "level=ERROR") }
	for i, want := range []int{1, 1, 2} {
		s.put(line("x"))
		if got := errors(); got != want {
			t.Errorf("after %d lines told %d times, want %d", i+1, got, want)
		}
		now = now.Add(40 * time.Second)
	}
	if !strings.Contains(log.String(), "output=test waiting=3 lost=0") {
		t.Errorf("%s", log)
	}
	out.fail(nil)
	s.put(line("x"))
	if len(out.written()) != 4 || strings.Count(log.String(), "the audit is written again") != 1 {
		t.Errorf("%d lines; %s", len(out.written()), log)
	}
}

// What waits is tried again without anybody who brings more.
func TestItIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, direct := range []bool{true, false} {
		out := &faulty{err: errors.New("away")}
		s, _ := newTestSink(t, out, direct, time.Now)
		s.put(line("x"))
		out.fail(nil)
		for end := time.Now().Add(time.Minute); len(out.written()) == 0 && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		if err := s.close(); err != nil || len(out.written()) != 1 {
			t.Errorf("direct %v: %q, %v", direct, out.written(), err)
		}
	}
}

// stuck is an output that takes what it is given and never comes back, as a pipe
// that nobody reads.
type stuck struct{ free chan struct{} }

func (s stuck) write(entry) error { <-s.free; return nil }
func (stuck) close() error        { return nil }

// Who reopens the trail waits for no output that cannot be opened anew.
func TestReopenBesideAnOutputThatIsStuck(t *testing.T) {
	t.Parallel()
	out := stuck{make(chan struct{})}
	s, _ := newTestSink(t, out, false, time.Now)
	s.put(line("x"))
	done := make(chan error)
	go func() { done <- s.reopen() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits")
	}
	close(out.free)
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
