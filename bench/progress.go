package main

import (
	"fmt"
	"io"
	"time"
)

// progress tells whoever waits what is measured, and how much is left.
type progress struct {
	out         io.Writer
	begun       time.Time
	total, done int // measurements
	tasks       int
}

func (p *progress) begin(total int) { p.begun, p.total = time.Now(), total }

func (p *progress) task(t *task, rounds int) {
	p.tasks++
	p.say("%d. %s: %d servers, %d rounds; %d of %d measurements done%s", p.tasks, t.title(), len(t.kinds), rounds, p.done, p.total, p.left(time.Since(p.begun)))
}

// left guesses how long the rest takes, from what has been done so far.
func (p *progress) left(elapsed time.Duration) string {
	if p.done == 0 {
		return ""
	}
	return fmt.Sprintf(", about %s left", (elapsed * time.Duration(p.total-p.done) / time.Duration(p.done)).Round(time.Second))
}

func (p *progress) round(i int) { p.say("   round %d", i+1) }

func (p *progress) step() { p.done++ }

func (p *progress) failed(t *task, f failure) {
	p.say("   FAILED: %s: %s: %v", t.title(), f.server, f.err)
}

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(p.out, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
