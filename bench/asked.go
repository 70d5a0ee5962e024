package main

import (
	"fmt"
	"strings"
)

// goal is a number that is asked for (docs/DESIGN.md, section 8).
type goal struct {
	what  string
	most  bool // the number asked for is the most there may be; else the least
	asked float64
	unit  string // behind both numbers
	value func(*report) (float64, bool)
}

// goals are all of them.
func goals() []goal {
	distribution := []string{registry2, distribution3}
	others := append([]string{nginxRegistry}, distribution...)
	return []goal{
		{what: "manifest GET by tag, bcrypt 10, beside distribution with htpasswd", asked: 100, unit: " x", value: beside(getByTag, 10, distribution...)},
		{what: "manifest GET by tag, bcrypt 10, beside the same without auth", asked: 0.9, unit: " x", value: besideItself(getByTag, 10, getByTag, 0)},
		{what: "manifest GET by tag, no auth, beside the bare handler", asked: 0.5, unit: " x", value: beside(getByTag, 0, bareHandler)},
		{what: "64 KiB blob GET beside nginx with files", asked: 0.6, unit: " x", value: beside(getSmall, 0, nginxFiles)},
		{what: "512 MiB blob GET beside nginx with sendfile", asked: 0.95, unit: " x", value: beside(getLarge, 0, nginxFiles)},
		{what: "512 MiB push, one piece, beside the best of the others", asked: 1, unit: " x", value: beside(pushPiece, 0, others...)},
		{what: "512 MiB push, 16 MiB chunks, beside the best of the others", asked: 1, unit: " x", value: beside(pushChunks, 0, others...)},
		{what: "small images pushed, 8 at once, beside distribution", asked: 4, unit: " x", value: beside(pushImages, 0, distribution...)},
		{what: "tags page of 100 among 100,000 beside distribution 3", asked: 15, unit: " x", value: beside(tagsAmongMany, 0, distribution3)},
		{what: "tags page of 100 among 100,000 beside 100 among 100", asked: 0.8, unit: " x", value: besideItself(tagsAmongMany, 0, tagsAmongFew, 0)},
		{what: "memory, idle", most: true, asked: 40, unit: " MiB", value: our(memoryIdle)},
		{what: "memory, 64 pushes and pulls", most: true, asked: 200, unit: " MiB", value: our(memoryBusy)},
		{what: "start with 100,000 repositories", most: true, asked: 0.2, unit: " s", value: our(startTime)},
		{what: "syncs for a blob push", most: true, asked: 3, value: our(syncsOfBlob)},
		{what: "syncs for a tagged manifest", most: true, asked: 1, value: our(syncsOfManifest)},
	}
}

// summary compares what is asked for with what was reached.
func (r *report) summary() string {
	var t strings.Builder
	t.WriteString("\n## Asked and reached\n\n| what | asked | reached | |\n|---|--:|--:|---|\n")
	for _, g := range goals() {
		reached, ok := g.value(r)
		fmt.Fprintf(&t, "| %s | %s | %s | %s |\n", g.what, g.bound(), g.show(reached, ok), g.verdict(reached, ok))
	}
	return t.String()
}

func (g goal) bound() string {
	if g.most {
		return "≤ " + fmt.Sprint(g.asked) + g.unit
	}
	return "≥ " + fmt.Sprint(g.asked) + g.unit
}

func (g goal) show(reached float64, ok bool) string {
	if !ok {
		return dash
	}
	return number(reached) + g.unit
}

func (g goal) verdict(reached float64, ok bool) string {
	switch {
	case !ok:
		return "not measured"
	case g.most && reached <= g.asked, !g.most && reached >= g.asked:
		return "yes"
	default:
		return "**no**"
	}
}

// find returns the outcome of a scenario, or nil.
func (r *report) find(name string, g guard) *outcome {
	for _, o := range r.outcomes {
		if o.name == name && o.guard == g {
			return o
		}
	}
	return nil
}

// median is that of a server in a scenario; false if it was not measured.
func (r *report) median(name string, g guard, server string) (float64, bool) {
	o := r.find(name, g)
	if o == nil || len(o.measured[server]) == 0 {
		return 0, false
	}
	return median(o.measured[server], value), true
}

// our is what moorgate comes to.
func our(name string) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) { return r.median(name, 0, moorgate) }
}

// beside is moorgate beside the best of the others. All of them must have been
// measured: the one that is missing could be the best.
func beside(name string, g guard, others ...string) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		ours, ok := r.median(name, g, moorgate)
		best := 0.0
		for _, server := range others {
			theirs, measured := r.median(name, g, server)
			best, ok = max(best, theirs), ok && measured
		}
		return ours / best, ok && best > 0
	}
}

// besideItself is moorgate in one scenario beside itself in another one.
func besideItself(name string, g guard, other string, otherGuard guard) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		one, ok := r.median(name, g, moorgate)
		two, too := r.median(other, otherGuard, moorgate)
		return one / two, ok && too && two > 0
	}
}
