package sqlmeta

import (
	"context"
	"fmt"

	"github.com/moorgate/moorgate/internal/meta"
)

// maxBatch bounds how many updates share a commit, and so how long the first
// of them waits for the others.
const maxBatch = 128

// writer runs all updates of a database on one connection, in one goroutine.
// It takes the updates that wait into one transaction, so that they share one
// wait for the disk ("group commit").
type writer struct {
	ctx     context.Context // of the statements; never ends
	session *session
	dialect *dialect
	repair  *repair
	mover   *mover
	jobs    chan *job // without a buffer: who sends, waits
	stop    chan struct{}
	stopped chan struct{}
	full    bool  // commits wait for the disk (synchronous=FULL)
	refuse  error // why transactions may look but not change anything, or nil
}

// job is one update on its way through the writer.
type job struct {
	ctx     context.Context
	fn      func(meta.Tx) error
	relaxed bool
	err     error
	done    chan struct{} // closed when err is final
}

// startWriter takes over a session that is at synchronous=FULL. The writer does
// not end with ctx, but with close.
func startWriter(ctx context.Context, s *session, d *dialect, r *repair, m *mover) *writer {
	w := &writer{
		ctx: context.WithoutCancel(ctx), session: s, dialect: d, repair: r, mover: m, full: true,
		jobs: make(chan *job), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go w.loop()
	return w
}

// update hands fn to the writer and waits for the outcome. It gives up when ctx
// ends, but not once fn has started.
func (w *writer) update(ctx context.Context, relaxed bool, fn func(meta.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, fn: fn, relaxed: relaxed, done: make(chan struct{})}
	select {
	case w.jobs <- j:
		<-j.done
		return j.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the goroutine. No update may be waiting. What is in doubt and cannot
// be mended stays open, as if the process had been killed: SQLite would go on as
// if nothing had been, and remove the log at the end.
func (w *writer) close() error {
	close(w.stop)
	<-w.stopped
	if err := w.repair.mendAll(w.ctx); err != nil {
		return fmt.Errorf("leave the metadata database for the next start to mend: %w", w.dialect.describe(err))
	}
	return w.session.close()
}

func (w *writer) loop() {
	defer close(w.stopped)
	var first *job
	for {
		if first == nil {
			select {
			case <-w.stop:
				return
			case first = <-w.jobs:
			}
		}
		b := &batch{jobs: []*job{first}, full: !first.relaxed}
		w.commit(b)
		for _, j := range b.jobs {
			close(j.done)
		}
		w.mover.move(w.ctx) // nobody waits for it but who comes next
		first = b.next
	}
}

// batch is the updates of one transaction.
type batch struct {
	jobs []*job
	full bool // at least one of them is not relaxed
	next *job // came too late for this one
}

// fail sets the error of those jobs that have none of their own.
func (b *batch) fail(err error) {
	for _, j := range b.jobs {
		if j.err == nil {
			j.err = err
		}
	}
}

// poll returns a job that waits, or nil if there is none or the batch is full.
func (w *writer) poll(b *batch) *job {
	if len(b.jobs) >= maxBatch {
		return nil
	}
	select {
	case j := <-w.jobs:
		return j
	default:
		return nil
	}
}
