package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// outcomeOf is an outcome with the values of servers.
func outcomeOf(name string, g guard, less bool, values map[string][]float64) *outcome {
	o := &outcome{task: &task{scenario: scenario{name: name, unit: "x/s", less: less}, guard: g}, measured: map[string][]result{}}
	for _, k := range kinds() {
		if _, ok := values[k.name]; ok {
			o.kinds = append(o.kinds, k)
		}
		for _, v := range values[k.name] {
			o.measured[k.name] = append(o.measured[k.name], result{value: v, cpu: 2 * time.Millisecond, memory: 10 * mib})
		}
	}
	return o
}

func TestTableShowsMediansSpreadsAndRatios(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		less   bool
		values map[string][]float64
		want   string
	}{
		{"more is better", false, map[string][]float64{moorgate: {300, 100, 200}, registry2: {50}}, "| registry 2.8 | 50.0 | 0 % | 4.00 | – | 2.00 ms | 10.0 MiB |"},
		{"less is better", true, map[string][]float64{moorgate: {2}, registry2: {8}}, "| registry 2.8 | 8.00 | 0 % | 4.00 |"},
		{"the spread is a part of the median", false, map[string][]float64{moorgate: {300, 100, 200}}, "| moorgate | 200 | 100 % | 1.00 |"},
		{"an even number of rounds", false, map[string][]float64{moorgate: {100, 200}}, "| moorgate | 150 | 67 % |"},
		{"nothing to compare with", false, map[string][]float64{registry2: {50}}, "| registry 2.8 | 50.0 | 0 % | – |"},
		{"one that has failed", false, map[string][]float64{moorgate: {1}, registry2: nil}, "| registry 2.8 | failed |"},
		{"a value of none", true, map[string][]float64{moorgate: {3}, registry2: {0}}, "| registry 2.8 | 0.000 | 0 % | – |"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := outcomeOf("a thing", 10, c.less, c.values).table()
			if !strings.Contains(got, "\n## a thing, bcrypt 10\n") || !strings.Contains(got, "\n"+c.want) {
				t.Errorf("got\n%s\nwant a line\n%s", got, c.want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	few := map[string][]float64{moorgate: {1000}}
	for _, c := range []struct {
		name     string
		outcomes []*outcome
		want     string
	}{
		{
			"reached, beside the best",
			[]*outcome{outcomeOf(pushImages, 0, false, map[string][]float64{moorgate: {40}, registry2: {2}, distribution3: {10}})},
			"| small images pushed, 8 at once, beside distribution | ≥ 4 x | 4.00 x | yes |",
		},
		{
			"missed",
			[]*outcome{outcomeOf(pushImages, 0, false, map[string][]float64{moorgate: {30}, registry2: {2}, distribution3: {10}})},
			"| small images pushed, 8 at once, beside distribution | ≥ 4 x | 3.00 x | **no** |",
		},
		{
			"the best may be the one that is missing",
			[]*outcome{outcomeOf(pushImages, 0, false, map[string][]float64{moorgate: {40}, registry2: {2}})},
			"| small images pushed, 8 at once, beside distribution | ≥ 4 x | – | not measured |",
		},
		{
			"beside itself",
			[]*outcome{outcomeOf(getByTag, 0, false, few), outcomeOf(getByTag, 10, false, map[string][]float64{moorgate: {950}})},
			"| manifest GET by tag, bcrypt 10, beside the same without auth | ≥ 0.9 x | 0.950 x | yes |",
		},
		{
			"at most",
			[]*outcome{outcomeOf(memoryIdle, 0, true, map[string][]float64{moorgate: {39}})},
			"| memory, idle | ≤ 40 MiB | 39.0 MiB | yes |",
		},
		{
			"too much",
			[]*outcome{outcomeOf(syncsOfBlob, 0, true, map[string][]float64{moorgate: {3.05}})},
			"| syncs for a blob push | ≤ 3 | 3.05 | **no** |",
		},
		{"nothing at all", nil, "| start with 100,000 repositories | ≤ 0.2 s | – | not measured |"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := (&report{outcomes: c.outcomes}).summary(); !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant a line\n%s", got, c.want)
			}
		})
	}
}

// TestEveryGoalCanBeMeasured keeps a name that has changed from making a number
// disappear.
func TestEveryGoalCanBeMeasured(t *testing.T) {
	t.Parallel()
	var r report
	for _, sc := range scenarios() {
		for _, g := range sc.guards {
			o := &outcome{task: &task{scenario: sc, guard: g}, measured: map[string][]result{}}
			for _, k := range kinds() {
				if sc.fits(k, g) {
					o.measured[k.name] = []result{{value: 1}}
				}
			}
			r.add(o)
		}
	}
	for _, g := range goals() {
		if v, ok := g.value(&r); !ok || v != 1 {
			t.Errorf("%s: got %v, %v of servers that are all the same; want 1, true", g.what, v, ok)
		}
	}
}

func TestReportIsWrittenAsFarAsItHasCome(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	r := &report{head: "a machine\n"}
	r.add(outcomeOf("a thing", 0, false, map[string][]float64{moorgate: {1}}))
	for _, c := range []struct {
		complete bool
		want     string
	}{{false, "**Incomplete"}, {true, "a machine\n\n## Asked and reached"}} {
		if err := r.write(path, c.complete); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), c.want) || strings.Contains(string(text), "**Incomplete") == c.complete || !strings.Contains(string(text), "## a thing") {
			t.Errorf("complete=%v: got\n%s", c.complete, text)
		}
	}
	if err := r.write("", true); err != nil {
		t.Errorf("no file to write: %v", err)
	}
}

func TestReportNamesWhatFailed(t *testing.T) {
	t.Parallel()
	r := &report{}
	if err := r.failure(); err != nil {
		t.Errorf("nothing failed, and yet: %v", err)
	}
	o := outcomeOf("a thing", bearer, false, map[string][]float64{moorgate: {1}, registry2: {1}})
	o.fail(registry2, errors.New("no `room`\nand more"))
	r.add(o)
	if err := r.failure(); err == nil {
		t.Error("a failure is no error of the run")
	}
	if want := "\n## Failed\n\n- a thing, token: registry 2.8: `no 'room'`\n"; !strings.Contains(r.text(true), want) {
		t.Errorf("got\n%s\nwant\n%s", r.text(true), want)
	}
}
