package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is the table of all results, in Markdown.
type report struct {
	text bytes.Buffer
}

func newReport(b *bench) *report {
	r := &report{}
	fmt.Fprintf(&r.text, "# Results\n\n%s, commit %s. %s, %d processors, %s. %d rounds of %s each; servers alternate; client and server share the machine.\n",
		time.Now().UTC().Format("2006-01-02"), commit(), cpuModel(), runtime.NumCPU(), runtime.Version(), b.rounds, b.long)
	r.text.WriteString("\nRates are medians, with the lowest and the highest. CPU is what the server used for one operation (all its processes), memory its proportional set size afterwards. The ratio is ours to theirs: above 1 we are faster.\n")
	return r
}

// add adds a scenario, and shows it.
func (r *report) add(out io.Writer, sc scenario, g guard, measured map[string][]result) {
	var t strings.Builder
	fmt.Fprintf(&t, "\n## %s, %s\n\n| server | %s | lowest, highest | ratio | p99 | CPU | memory |\n|---|--:|--:|--:|--:|--:|--:|\n", sc.name, g, sc.unit)
	ours := median(measured["moorgate"], func(m result) float64 { return m.rate })
	for _, k := range kinds() {
		list := measured[k.name]
		if len(list) == 0 {
			continue
		}
		rate := func(m result) float64 { return m.rate }
		mid := median(list, rate)
		low := slices.MinFunc(list, func(a, b result) int { return compare(a.rate, b.rate) }).rate
		high := slices.MaxFunc(list, func(a, b result) int { return compare(a.rate, b.rate) }).rate
		fmt.Fprintf(&t, "| %s | %s | %s, %s | %.2f | %s | %s | %d MiB |\n", k.name, number(mid), number(low), number(high), ours/mid,
			short(median(list, func(m result) float64 { return float64(m.p99) })), short(median(list, func(m result) float64 { return float64(m.cpu) })),
			int64(median(list, func(m result) float64 { return float64(m.memory) }))>>20)
	}
	_, _ = io.WriteString(out, t.String())
	r.text.WriteString(t.String())
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func median(list []result, of func(result) float64) float64 {
	if len(list) == 0 {
		return 0
	}
	var values []float64
	for _, m := range list {
		values = append(values, of(m))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// short shows nanoseconds.
func short(ns float64) string {
	d := time.Duration(ns)
	switch {
	case d == 0:
		return "–"
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

func (r *report) write(path string) error {
	return os.WriteFile(path, r.text.Bytes(), 0o644) //nolint:gosec // for everybody to read
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output() //nolint:noctx // short
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
