package sqlmeta

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/moorgate/moorgate/internal/meta"
)

// commit runs the jobs of b, and those that wait or come while they run, and
// sets their errors.
func (w *writer) commit(b *batch) {
	for j := w.poll(b); j != nil; j = w.poll(b) {
		b.jobs = append(b.jobs, j)
		b.full = b.full || !j.relaxed
	}
	if err := w.ready(); err != nil {
		b.fail(err)
		return
	}
	if err := w.apply(b); err != nil {
		w.rollback()
		w.commitEach(b, err)
		return
	}
	if err := w.end(); err != nil {
		b.fail(err)
	}
}

// apply runs the jobs of b in a new transaction. If it fails, none of them
// happened.
func (w *writer) apply(b *batch) error {
	if err := w.begin(b.full); err != nil {
		return err
	}
	clean := true // nothing of the transaction has to be kept
	for i := 0; i < len(b.jobs); i++ {
		j := b.jobs[i]
		if err := w.applyJob(j, b.full, clean); err != nil {
			return err
		}
		clean = clean && j.err != nil
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
		if err := w.commitOne(j); err != nil && j.err == nil { // else it is the cause
			j.err = err
		}
	}
}

func (w *writer) commitOne(j *job) error {
	err := w.ready()
	if err != nil {
		return err
	}
	if err = w.begin(!j.relaxed); err == nil {
		err = w.applyJob(j, !j.relaxed, true)
	}
	if err != nil {
		w.rollback()
		return err
	}
	return w.end()
}

// ready reports why no transaction may begin now. A log in doubt is mended
// first: what is not on the disk must not be built on. If that fails, the error
// is an inDoubt, and not meta.ErrNoSpace, as with end: what failed before may be
// in the log. A log that is too long only refuses changes: on a full disk those
// that remove content have to look at what is there.
func (w *writer) ready() error {
	w.refuse = w.mover.unstuck(w.ctx)
	if err := w.repair.mendLog(w.ctx); err != nil {
		return &inDoubt{err}
	}
	return nil
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

// end commits. When it fails, the transaction is gone for good, or the error
// says that this is not known; it is not meta.ErrNoSpace then, which callers
// take for a promise.
func (w *writer) end() error {
	err := w.run("COMMIT")
	if err == nil {
		return nil
	}
	w.rollback()
	w.repair.log = true
	if mending := w.repair.mendLog(w.ctx); mending != nil {
		return fmt.Errorf("it is not known whether the metadata was committed: %s; %s", err.Error(), mending.Error())
	}
	return err
}

// applyJob runs a job and sets its error. The error it returns is not that of
// the job alone: the transaction is lost. In a clean transaction the job needs
// no savepoint, which costs two statements and a copy of each page it changes:
// if it fails, the transaction begins again.
func (w *writer) applyJob(j *job, full, clean bool) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	if !clean {
		return w.applySaved(j)
	}
	if w.runJob(j); j.err == nil {
		return nil
	}
	if err := w.run("ROLLBACK"); err != nil {
		return err // SQLite has rolled back, as it may on a full disk
	}
	return w.begin(full)
}

// applySaved is applyJob in a savepoint.
func (w *writer) applySaved(j *job) error {
	if err := w.run("SAVEPOINT job"); err != nil {
		return err
	}
	if w.runJob(j); j.err != nil {
		// Fails if SQLite has rolled back everything, as it may on a full disk.
		if err := w.run("ROLLBACK TO job"); err != nil {
			return err
		}
	}
	return w.run("RELEASE job")
}

func (w *writer) runJob(j *job) {
	t := &tx{ctx: w.ctx, q: w.session, dialect: w.dialect, write: true, refuse: w.refuse}
	j.err = call(j.fn, t)
	if !errors.Is(t.failed, w.refuse) { // which says nothing new of the log
		w.repair.failed(t.failed)
	}
}

func (w *writer) run(statement string) error {
	err := w.session.run(w.ctx, statement)
	w.repair.failed(err)
	return w.dialect.describe(err)
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
