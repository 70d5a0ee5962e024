package soak

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/moorgate/moorgate/internal/control"
)

// rows is how many samples a table shows at most.
const rows = 25

// table shows samples.
func table(taken []control.Status) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "seconds\theap MiB\tmemory MiB\tgoroutines\topen files\tcollections\t")
	step := (len(taken) + rows - 1) / rows
	for i := 0; i < len(taken); i += max(step, 1) {
		st := taken[i]
		_, _ = fmt.Fprintf(w, "%d\t%.1f\t%.1f\t%d\t%d\t%d\t\n",
			st.Uptime, float64(st.HeapBytes)/(1<<20), float64(st.RSSBytes)/(1<<20), st.Goroutines, st.Files, st.Collections)
	}
	_ = w.Flush() // to memory
	return text.String()
}

// measure is one thing that must not grow.
type measure struct {
	name   string
	of     func(control.Status) uint64
	factor float64 // it may be so much more at the end
	spare  uint64  // and this besides
}

func measures() []measure {
	return []measure{
		{"heap", func(s control.Status) uint64 { return s.HeapBytes }, 1.25, 16 << 20},
		{"memory", func(s control.Status) uint64 { return s.RSSBytes }, 1.25, 24 << 20},
		{"goroutines", func(s control.Status) uint64 { return s.Goroutines }, 1, 30},
		{"open files", func(s control.Status) uint64 { return s.Files }, 1, 30},
	}
}

// flat fails the test if there is more of something in the last third of the
// samples than in the first: the middle one of each counts. A tenth at the beginning
// is for warming up.
func flat(t *testing.T, taken []control.Status) {
	t.Helper()
	for _, problem := range grown(taken) {
		t.Error(problem)
	}
}

func grown(taken []control.Status) (problems []string) {
	taken = taken[len(taken)/10:]
	third := len(taken) / 3
	if third == 0 {
		return []string{fmt.Sprintf("%d samples tell nothing", len(taken))}
	}
	for _, m := range measures() {
		begin, end := middle(taken[:third], m.of), middle(taken[len(taken)-third:], m.of)
		if float64(end) > m.factor*float64(begin)+float64(m.spare) {
			problems = append(problems, fmt.Sprintf("%s: grew from %d to %d", m.name, begin, end))
		}
	}
	return problems
}

// middle returns the median of what of says of samples.
func middle(taken []control.Status, of func(control.Status) uint64) uint64 {
	values := make([]uint64, 0, len(taken))
	for _, st := range taken {
		values = append(values, of(st))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func TestGrowthIsSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		samples int
		at      func(i uint64) control.Status
		want    string
	}{
		"steady":        {60, func(uint64) control.Status { return of(40<<20, 30, 20) }, ""},
		"a saw":         {60, func(i uint64) control.Status { return of(20<<20+(i%10)<<22, 30+i%7, 20+i%5) }, ""},
		"warming up":    {60, func(i uint64) control.Status { return of(min(i, 6)*10<<20, 10*min(i, 6), 20) }, ""},
		"memory leaks":  {60, func(i uint64) control.Status { return of(40<<20+i<<21, 30, 20) }, "heap memory"},
		"goroutines":    {60, func(i uint64) control.Status { return of(40<<20, 30+i, 20) }, "goroutines"},
		"files":         {60, func(i uint64) control.Status { return of(40<<20, 30, 20+i) }, "open files"},
		"nothing to go": {2, func(uint64) control.Status { return of(40<<20, 30, 20) }, "2 samples tell nothing"},
	} {
		var taken []control.Status
		for i := range c.samples {
			taken = append(taken, c.at(uint64(i)))
		}
		var names []string
		for _, p := range grown(taken) {
			name, _, _ := strings.Cut(p, ":")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// of is a sample.
func of(bytes, goroutines, files uint64) control.Status {
	var st control.Status
	st.HeapBytes, st.RSSBytes, st.Goroutines, st.Files = bytes, bytes, goroutines, files
	return st
}
