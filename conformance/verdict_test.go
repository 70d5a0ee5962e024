package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// minPassed is a little less than what a full run passes at the pinned version:
// 1032, or 986 without sparse manifests.
const minPassed = 950

// minAPIs and minData are the rows of the suite's two tables at the pinned
// version. An upgrade may add to them.
const (
	minAPIs = 28
	minData = 24
)

// passed is the number of tests that passed.
func (o *outcome) passed() int {
	j := o.junit
	return j.Tests - j.Failures - j.Errors - j.Skipped - j.Disabled
}

func (o *outcome) String() string {
	j := o.junit
	return fmt.Sprintf("%d passed, %d failed, %d errors, %d skipped, %d disabled; %d APIs, %d kinds of data",
		o.passed(), j.Failures, j.Errors, j.Skipped, j.Disabled, len(o.results.APIs), len(o.results.Data))
}

// problems returns a sentence for all that keeps the run from being a full
// pass. The switches named in off, as "data.sparse", are expected to be off,
// and the rows named in disabled to be disabled for it.
func (o *outcome) problems(off, disabled []string) []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if o.exit != nil {
		add("the suite ended with: %v", o.exit)
	}
	if v := o.results.Config.Version; v != suiteVersion {
		add("the suite tested version %q, want %q", v, suiteVersion)
	}
	got := append(falseKeys("apis", o.results.Config.APIs), falseKeys("data", o.results.Config.Data)...)
	slices.Sort(got)
	if !slices.Equal(got, off) {
		add("switches that are off: %q, want %q; is one missing in the list of switches?", got, off)
	}
	for table, rows := range map[string]map[string]string{"API": o.results.APIs, "data": o.results.Data} {
		for row, status := range rows {
			want := "Pass"
			if slices.Contains(disabled, row) {
				want = "Disabled"
			}
			if status != want {
				add("%s %q: %s, want %s", table, row, status, want)
			}
		}
	}
	if a, d := len(o.results.APIs), len(o.results.Data); a < minAPIs || d < minData {
		add("%d APIs and %d kinds of data, want at least %d and %d", a, d, minAPIs, minData)
	}
	if j := o.junit; j.Failures+j.Errors+j.Skipped+j.Disabled != 0 || o.passed() < minPassed {
		add("%s; want at least %d passed and nothing else", o, minPassed)
	}
	slices.Sort(all)
	return all
}

// falseKeys returns the paths of all switches below m that are not true.
func falseKeys(path string, m map[string]any) []string {
	if len(m) == 0 {
		return []string{path + " has no switches"}
	}
	var off []string
	for k, v := range m {
		switch v := v.(type) {
		case bool:
			if !v {
				off = append(off, path+"."+k)
			}
		case map[string]any:
			off = append(off, falseKeys(path+"."+k, v)...)
		default:
			off = append(off, fmt.Sprintf("%s.%s is %v", path, k, v))
		}
	}
	return off
}

// saw reports whether the text occurs in the requests and answers.
func (o *outcome) saw(text string) bool {
	return slices.ContainsFunc(o.junit.Cases, func(c testcase) bool { return strings.Contains(c.HTTP, text) })
}

// failures returns the single tests that did not pass, with what was said.
func (o *outcome) failures() []testcase {
	return slices.DeleteFunc(slices.Clone(o.junit.Cases), func(c testcase) bool {
		// A group with nothing in it is written as an error without a word.
		return c.Status == "passed" || c.Status == "error" && c.Errors == ""
	})
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	full := func() *outcome {
		o := &outcome{}
		o.results.Config.Version = suiteVersion
		o.results.Config.APIs = map[string]any{"pull": true, "blobs": map[string]any{"delete": true}}
		o.results.Config.Data = map[string]any{"sparse": true}
		o.results.APIs, o.results.Data = map[string]string{}, map[string]string{"Sparse Manifests": "Pass"}
		for i := range minAPIs {
			o.results.APIs[fmt.Sprint("api ", i)] = "Pass"
		}
		for i := range minData {
			o.results.Data[fmt.Sprint("data ", i)] = "Pass"
		}
		o.junit.Tests = minPassed
		return o
	}
	tests := []struct {
		name          string
		change        func(o *outcome)
		off, disabled []string
		want          string // part of the one problem; empty for none
	}{
		{name: "a full pass", change: func(*outcome) {}},
		{name: "an empty run", change: func(o *outcome) { o.junit.Tests = 0 }, want: "0 passed"},
		{name: "a failed process", change: func(o *outcome) { o.exit = errors.New("exit status 1") }, want: "exit status 1"},
		{name: "another version", change: func(o *outcome) { o.results.Config.Version = "1.1" }, want: `"1.1"`},
		{name: "a failed test", change: func(o *outcome) { o.junit.Tests++; o.junit.Failures++ }, want: "1 failed"},
		{name: "a broken test", change: func(o *outcome) { o.junit.Tests++; o.junit.Errors++ }, want: "1 errors"},
		{name: "a skipped test", change: func(o *outcome) { o.junit.Tests++; o.junit.Skipped++ }, want: "1 skipped"},
		{name: "a disabled test", change: func(o *outcome) { o.junit.Tests++; o.junit.Disabled++ }, want: "1 disabled"},
		{name: "a skipped row", change: func(o *outcome) { o.results.APIs["api 0"] = "Skip" }, want: `API "api 0": Skip`},
		{name: "a disabled row", change: func(o *outcome) { o.results.Data["data 0"] = "Disabled" }, want: `data "data 0": Disabled`},
		{name: "a missing row", change: func(o *outcome) { delete(o.results.APIs, "api 0") }, want: "27 APIs"},
		{
			name:   "a switch that is off",
			change: func(o *outcome) { o.results.Config.APIs["blobs"] = map[string]any{"delete": false} }, want: "apis.blobs.delete",
		},
		{name: "no switches", change: func(o *outcome) { o.results.Config.Data = nil }, want: "data has no switches"},
		{
			name: "what may be off is off",
			change: func(o *outcome) {
				o.results.Config.Data["sparse"] = false
				o.results.Data["Sparse Manifests"] = "Disabled"
			},
			off: []string{"data.sparse"}, disabled: []string{"Sparse Manifests"},
		},
		{
			name:     "what should be off is on",
			change:   func(*outcome) {},
			disabled: []string{"Sparse Manifests"}, want: "Pass, want Disabled",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := full()
			tt.change(o)
			got := o.problems(tt.off, tt.disabled)
			switch {
			case tt.want == "" && len(got) != 0:
				t.Errorf("problems: %q, want none", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("problems: %q, want one with %q", got, tt.want)
			}
		})
	}
}
