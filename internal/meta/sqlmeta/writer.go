package sqlmeta

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/moorgate/moorgate/internal/meta"
)

// maxBatch bounds how many updates share a commit, and so how long the first
// of them waits for the others.
const maxBatch = 128

// writer runs all updates of a database on one connection, in one goroutine.
// It takes the updates that wait into one transaction, each in a savepoint, so
// that they share one wait for the disk ("group commit").
type writer struct {
	ctx     context.Context // of the statements; never ends
	session *session
	dialect *dialect
	jobs    chan *job // without a buffer: who sends, waits
	stop    chan struct{}
	stopped chan struct{}
	full    bool // commits wait for the disk (synchronous=FULL)
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
func startWriter(ctx context.Context, s *session, d *dialect) *writer {
	w := &writer{
		ctx: context.WithoutCancel(ctx), session: s, dialect: d, full: true,
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

// close ends the goroutine. No update may be waiting.
func (w *writer) close() error {
	close(w.stop)
	<-w.stopped
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
		first = b.next
	}
}

// batch is the updates of one transaction.
type batch struct {
	jobs []*job
	full bool // at least one of them is not relaxed
	next *job // came too late for this one
}

// commit runs the jobs of b, and those that wait or come while they run, and
// sets their errors.
func (w *writer) commit(b *batch) {
	for j := w.poll(b); j != nil; j = w.poll(b) {
		b.jobs = append(b.jobs, j)
		b.full = b.full || !j.relaxed
	}
	if err := w.apply(b); err != nil {
		w.rollback()
		w.commitEach(b, err)
		return
	}
	if err := w.run("COMMIT"); err != nil {
		w.rollback()
		b.fail(err)
	}
}

// apply runs the jobs of b in a new transaction. If it fails, none of them
// happened.
func (w *writer) apply(b *batch) error {
	if err := w.begin(b.full); err != nil {
		return err
	}
	for i := 0; i < len(b.jobs); i++ {
		if err := w.applyJob(b.jobs[i]); err != nil {
			return err
		}
		if i == len(b.jobs)-1 && b.next == nil {
			w.takeLate(b)
		}
	}
	return nil
}

// takeLate adds a job that came after the transaction began. A relaxed
// transaction cannot become a full one any more.
func (w *writer) takeLate(b *batch) {
	switch j := w.poll(b); {
	case j == nil:
	case b.full || j.relaxed:
		b.jobs = append(b.jobs, j)
	default:
		b.next = j
	}
}

// commitEach runs the jobs of a batch that failed with err in a transaction
// each: one of them may be too much for the disk, and the others not.
func (w *writer) commitEach(b *batch, err error) {
	if len(b.jobs) == 1 {
		b.fail(err)
		return
	}
	for _, j := range b.jobs {
		if j.err != nil {
			continue
		}
		if err := w.commitOne(j); err != nil {
			w.rollback()
			if j.err == nil { // else it is the cause
				j.err = err
			}
		}
	}
}

func (w *writer) commitOne(j *job) error {
	if err := w.begin(!j.relaxed); err != nil {
		return err
	}
	if err := w.applyJob(j); err != nil {
		return err
	}
	return w.run("COMMIT")
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

// begin starts a transaction that will commit with the wanted durability,
// which can only be chosen before it.
func (w *writer) begin(full bool) error {
	if full != w.full {
		level := "NORMAL" // with a log: no wait for the disk at a commit
		if full {
			level = "FULL"
		}
		// Not prepared: this PRAGMA takes effect when it is compiled.
		_, err := w.session.conn.ExecContext(w.ctx, "PRAGMA synchronous = "+level)
		if err != nil {
			return w.dialect.describe(err)
		}
		w.full = full
	}
	return w.run("BEGIN IMMEDIATE")
}

// applyJob runs a job and sets its error. The error it returns is not that of
// the job alone: the transaction is lost.
func (w *writer) applyJob(j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	if err := w.run("SAVEPOINT job"); err != nil {
		return err
	}
	t := &tx{ctx: w.ctx, q: w.session, dialect: w.dialect, write: true}
	j.err = call(j.fn, t)
	if j.err != nil {
		// Fails if SQLite has rolled back everything, as it may on a full disk.
		if err := w.run("ROLLBACK TO job"); err != nil {
			return err
		}
	}
	return w.run("RELEASE job")
}

func (w *writer) run(statement string) error {
	return w.dialect.describe(w.session.run(w.ctx, statement))
}

// rollback leaves a transaction that failed, if SQLite has not done so itself.
func (w *writer) rollback() {
	_ = w.session.run(w.ctx, "ROLLBACK") // "no transaction is active" is fine
}

// call runs fn. A panic becomes an error: fn is not on the goroutine of its
// caller. So does a fault of the database that fn kept to itself.
func call(fn func(meta.Tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a metadata update: %v\n%s", p, debug.Stack())
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	return t.failed
}
