package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// report is all that was measured, in Markdown.
type report struct {
	head     string // the machine, the commit
	outcomes []*outcome
}

func newReport(b *bench) *report {
	return &report{head: fmt.Sprintf("%s, commit %s. %s, %d processors, %s. %d rounds of %s each; servers alternate, and each round begins with the next one; client and server share the machine.\n",
		time.Now().UTC().Format(time.DateOnly), commit(), cpuModel(), runtime.NumCPU(), runtime.Version(), b.rounds, b.long)}
}

func (r *report) add(o *outcome) { r.outcomes = append(r.outcomes, o) }

// legend says how to read the tables.
const legend = "\nValues are medians. The spread is from the lowest to the highest, as a part of the median. The ratio says how many times better we are: above 1 it is us. " +
	"CPU is what the server used for one operation (all its processes), memory its proportional set size afterwards, or the most of it where memory is what is measured.\n"

// text is the whole report. One that is not complete says so.
func (r *report) text(complete bool) string {
	var t strings.Builder
	t.WriteString("# Results\n\n" + r.head)
	if !complete {
		t.WriteString("\n**Incomplete: this run is under way, or it was cut off.**\n")
	}
	t.WriteString(r.failureList() + r.summary() + legend)
	for _, o := range r.outcomes {
		t.WriteString(o.table())
	}
	return t.String()
}

// failureList names what failed, if anything did.
func (r *report) failureList() string {
	var t strings.Builder
	for _, o := range r.outcomes {
		for _, f := range o.failures {
			first, _, _ := strings.Cut(f.err.Error(), "\n")
			fmt.Fprintf(&t, "- %s: %s: `%s`\n", o.title(), f.server, strings.ReplaceAll(first, "`", "'"))
		}
	}
	if t.Len() == 0 {
		return ""
	}
	return "\n## Failed\n\n" + t.String()
}

// failure is the error of the run, if anything failed.
func (r *report) failure() error {
	n := 0
	for _, o := range r.outcomes {
		n += len(o.failures)
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of the measurements failed", n)
}

// table is one scenario with one way to sign in.
func (o *outcome) table() string {
	var t strings.Builder
	fmt.Fprintf(&t, "\n## %s\n\n| server | %s | spread | ratio | p99 | CPU | memory |\n|---|--:|--:|--:|--:|--:|--:|\n", o.title(), o.unit)
	ours := median(o.measured[moorgate], value)
	for _, k := range o.kinds {
		list := o.measured[k.name]
		if len(list) == 0 {
			fmt.Fprintf(&t, "| %s | failed | | | | | |\n", k.name)
			continue
		}
		theirs := median(list, value)
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %s | %s |\n", k.name, number(theirs), percent(spread(list, value)),
			ratio(o.better(ours, theirs)), short(median(list, p99)), milliseconds(median(list, cpu)), mebibytes(median(list, memory)))
	}
	return t.String()
}

// better is how many times better a value is than another one; false if there is
// no answer.
func (sc *scenario) better(one, other float64) (float64, bool) {
	if sc.less {
		one, other = other, one
	}
	return one / other, one > 0 && other > 0
}

func ratio(v float64, ok bool) string {
	if !ok {
		return dash
	}
	return number(v)
}

// write writes the file, if there is one to write.
func (r *report) write(path string, complete bool) error {
	if path == "" {
		return nil
	}
	part := path + ".part"
	return errors.Join(
		os.WriteFile(part, []byte(r.text(complete)), 0o644), //nolint:gosec // for everybody to read
		os.Rename(part, path),
	)
}

// commit names the commit that is measured: that of the working directory.
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
