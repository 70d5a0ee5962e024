package sqlmeta

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// repair knows what of a database may not be on the disk as SQLite believes it
// is, and makes it so again.
//
// A COMMIT that fails may have written all of its frames: they are not in the
// index of the log, so nobody reads them, but after a restart they would be
// found. And if it was the sync that failed, frames of earlier transactions may
// be lost too, though they can still be read; no later sync tells of them again.
// SQLite goes on as if nothing had been. So after such an error no transaction
// begins before the log has been written again up to its last commit.
type repair struct {
	path    string // of the database
	disk    disk
	session *session

	log      bool // the log is in doubt: no update until it is mended
	database bool // pages that are in the log are: no checkpoint until they are mended

	// databaseFile stays open once it has been opened: closing any file of this
	// process that is the database ends the locks that SQLite has on it.
	databaseFile file
}

// inDoubt is the error of a log that cannot be mended. It hides its cause from
// errors.Is: a full disk in it is no promise that nothing was committed.
type inDoubt struct{ cause error }

func (e *inDoubt) Error() string { return e.cause.Error() }

// failed notes an error of SQLite that leaves the log in doubt.
func (r *repair) failed(err error) {
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_IOERR {
		r.log = true
	}
}

// mendAll leaves nothing in doubt.
func (r *repair) mendAll(ctx context.Context) error {
	if err := r.mendLog(ctx); err != nil {
		return err
	}
	return r.mendDatabase(ctx)
}

// mendLog brings the log on the disk to its last commit, if it is in doubt. No
// transaction of the writer may be open.
func (r *repair) mendLog(ctx context.Context) error {
	if !r.log {
		return nil
	}
	at, err := checkpoint(ctx, r.session, "NOOP")
	if err == nil {
		err = r.rewriteLog(at.frames)
	}
	if err != nil {
		return fmt.Errorf("metadata cannot be changed until its log is on the disk again: %w", err)
	}
	r.log = false
	return nil
}

func (r *repair) rewriteLog(frames int64) (err error) {
	f, err := r.disk.open(r.path + "-wal")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if frames == 0 { // what is there is in the database, or was never committed
		return cut(f, 0)
	}
	l, err := readWAL(f)
	if err != nil {
		return err
	}
	return l.rewrite(frames)
}

// mendDatabase writes those pages again that checkpoints have taken out of the
// log. SQLite syncs the database only at the end of the log, and after an error
// it goes on behind what it has copied: what was copied and not synced would be
// lost with the log. The log must not be in doubt.
func (r *repair) mendDatabase(ctx context.Context) error {
	if !r.database {
		return nil
	}
	at, err := checkpoint(ctx, r.session, "NOOP")
	if err == nil && at.copied > 0 {
		err = r.copyAgain(at.copied)
	}
	if err != nil {
		return fmt.Errorf("mend the database: %w", err)
	}
	r.database = false
	return nil
}

func (r *repair) copyAgain(frames int64) (err error) {
	if r.databaseFile == nil {
		if r.databaseFile, err = r.disk.open(r.path); err != nil {
			return err
		}
	}
	f, err := r.disk.open(r.path + "-wal")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	l, err := readWAL(f)
	if err != nil {
		return err
	}
	return l.copyTo(r.databaseFile, frames)
}

// close comes after SQLite has closed the database.
func (r *repair) close() error {
	if r.databaseFile == nil {
		return nil
	}
	return r.databaseFile.Close()
}
