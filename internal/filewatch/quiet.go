package filewatch

import "time"

// maxSettles bounds how long a file that is written again and again can put
// off its change, in times of the quiet moment that is waited for.
const maxSettles = 10

// quiet waits until nothing happens for a moment.
type quiet struct {
	timer   *time.Timer
	settle  time.Duration
	waiting bool
	since   time.Time // when the wait began
}

func newQuiet(settle time.Duration) *quiet {
	t := time.NewTimer(settle)
	t.Stop()
	return &quiet{timer: t, settle: settle}
}

// begin starts the wait, or starts it anew if extend. What happens in the same
// directory to other files must not extend it: it may never stop.
func (q *quiet) begin(extend bool) {
	switch {
	case !q.waiting:
		q.waiting, q.since = true, time.Now()
	case !extend || time.Since(q.since) > maxSettles*q.settle:
		return
	}
	q.timer.Reset(q.settle)
}

func (q *quiet) end() { q.waiting = false }
