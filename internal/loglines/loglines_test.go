package loglines_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/moorgate/moorgate/internal/loglines"
)

// slow is a writer that waits before each write until it may.
type slow struct {
	may    chan struct{} // closed: it always may
	begun  chan struct{}
	writes int
	bytes.Buffer
}

func newSlow() *slow { return &slow{may: make(chan struct{}), begun: make(chan struct{}, 1000)} }

func (s *slow) Write(p []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.may
	s.writes++
	return s.Buffer.Write(p)
}

func write(t *testing.T, w *loglines.Writer, line string) {
	t.Helper()
	if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
}

func TestLinesKeepTheirOrderAndGoOutTogether(t *testing.T) {
	t.Parallel()
	out := newSlow()
	w := loglines.New(out)
	var want strings.Builder
	write(t, w, "first\n")
	<-out.begun // written alone, at once
	want.WriteString("first\n")
	for n := range 100 {
		line := fmt.Sprintf("line %d\n", n)
		write(t, w, line)
		want.WriteString(line)
	}
	close(out.may)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != want.String() {
		t.Errorf("written: %q", got)
	}
	if out.writes != 2 {
		t.Errorf("in %d writes, want 2", out.writes)
	}
}

func TestLinesOfManyStayWhole(t *testing.T) {
	t.Parallel()
	out := newSlow()
	close(out.may)
	out.begun = make(chan struct{}, 1<<16)
	w := loglines.New(out)
	var group sync.WaitGroup
	const writers, each = 8, 500
	for who := range writers {
		group.Go(func() {
			for n := range each {
				write(t, w, fmt.Sprintf("%d %d %s\n", who, n, strings.Repeat("x", n)))
			}
		})
	}
	group.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	next := make([]int, writers)
	for line := range strings.Lines(out.String()) {
		var who, n int
		if _, err := fmt.Sscanf(line, "%d %d", &who, &n); err != nil || n != next[who] || len(line) != len(fmt.Sprintf("%d %d \n", who, n))+n {
			t.Fatalf("line %q after %v: %v", line, next, err)
		}
		next[who]++
	}
	for who, n := range next {
		if n != each {
			t.Errorf("%d lines of writer %d", n, who)
		}
	}
}

// Who logs waits when nobody takes the lines: they are bounded.
func TestLinesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	out := newSlow()
	w := loglines.New(out)
	write(t, w, "first\n")
	<-out.begun
	line := strings.Repeat("x", 1023) + "\n"
	taken := make(chan int)
	go func() {
		for n := range 1000 {
			write(t, w, line)
			taken <- n + 1
		}
		close(taken)
	}()
	last := 0
	for n := range taken {
		last = n
		if n == 257 { // the next one waits
			break
		}
	}
	select {
	case n := <-taken:
		t.Errorf("%d lines wait", n)
	default:
	}
	close(out.may)
	for n := range taken {
		last = n
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if last != 1000 || out.Len() != len("first\n")+1000*len(line) {
		t.Errorf("%d lines, %d bytes", last, out.Len())
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestAfterClose(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := loglines.New(&out)
	write(t, w, "before\n")
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(t, w, "after\n")
	if out.String() != "before\nafter\n" {
		t.Errorf("written: %q", out.String())
	}
	full := errors.New("full")
	w = loglines.New(broken{full})
	write(t, w, "lost\n")
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("lost\n")); !errors.Is(err, full) {
		t.Errorf("after close: %v", err)
	}
}
