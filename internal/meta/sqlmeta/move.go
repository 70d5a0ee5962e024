package sqlmeta

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
)

// limits are those of a log, in pages.
type limits struct {
	after int   // are written between two checkpoints
	again int   // are written until the next one if the last did not copy all
	long  int64 // in the log: updates begin to wait for readers to let go of it
	stuck int64 // in the log: updates fail if checkpoints do, before it takes the rest of the disk
}

func usualLimits() limits { return limits{after: 1000, again: 100, long: 8000, stuck: 64000} }

// restartWait is how long updates wait for readers after a checkpoint,
// milliseconds.
const restartWait = 250

// progress is how far a log has come.
type progress struct {
	frames int64 // that are committed
	copied int64 // that checkpoints have taken into the database
}

// checkpoint runs https://sqlite.org/pragma.html#pragma_wal_checkpoint. NOOP only
// looks. That readers were in the way is no error.
func checkpoint(ctx context.Context, s *session, mode string) (at progress, err error) {
	var busy int
	row := s.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")")
	if err := row.Scan(&busy, &at.frames, &at.copied); err != nil {
		return progress{}, fmt.Errorf("checkpoint of the metadata database: %w", err)
	}
	if at.frames < 0 || at.copied < 0 {
		return progress{}, fmt.Errorf("checkpoint of the metadata database: its log cannot be read (busy: %d)", busy)
	}
	return at, nil
}

// mover moves what is in the log into the database. SQLite would do so inside a
// COMMIT, and keep an error to itself.
type mover struct {
	repair  *repair
	session *session
	limits  limits
	pages   int // written to the log since the last checkpoint
	due     int // pages at which there is another
	at      progress
	err     error // of the last checkpoint
}

// newMover counts what a former process has left in the log.
func newMover(ctx context.Context, r *repair, l limits) (*mover, error) {
	at, err := checkpoint(ctx, r.session, "NOOP")
	if err != nil {
		return nil, err
	}
	return &mover{repair: r, session: r.session, limits: l, pages: int(at.frames), due: l.after}, nil
}

// move makes a checkpoint if enough has been written. After an error the log
// stays as it is, and so do the commits in it; it is tried again later.
func (m *mover) move(ctx context.Context) {
	n, err := written(m.session)
	m.pages += n
	if err == nil && m.pages < m.due {
		return
	}
	m.pages, m.due = 0, m.limits.after
	switch err := m.all(ctx); {
	case err == nil && m.at.frames >= m.limits.long:
		m.restart(ctx)
	case err != nil || m.at.copied < m.at.frames:
		m.due = m.limits.again
	}
}

// unstuck reports that the log is too long to go on. It tries to shorten it.
func (m *mover) unstuck(ctx context.Context) error {
	if m.err == nil || m.at.frames < m.limits.stuck || m.all(ctx) == nil {
		return nil
	}
	return fmt.Errorf("metadata cannot be changed until its log, of %d pages, can be moved into the database: %w", m.at.frames, m.err)
}

// all takes into the database what no reader is in the way of. What is in doubt
// is mended first.
func (m *mover) all(ctx context.Context) error {
	m.err = m.repair.mendAll(ctx)
	if m.err == nil {
		m.checkpoint(ctx, "PASSIVE")
	}
	if m.err != nil {
		if at, err := checkpoint(ctx, m.session, "NOOP"); err == nil {
			m.at = at
		}
	}
	return m.err
}

func (m *mover) checkpoint(ctx context.Context, mode string) {
	at, err := checkpoint(ctx, m.session, mode)
	if m.err = err; err != nil {
		m.repair.database = true
		m.repair.failed(err) // it may have been the sync of the log
		return
	}
	m.at = at
}

// restart waits for readers of old snapshots until all of the log is copied, and
// then for those of the log, so that the next commit can begin it anew.
func (m *mover) restart(ctx context.Context) {
	if m.err = m.wait(ctx, restartWait); m.err == nil {
		m.checkpoint(ctx, "RESTART")
	}
	m.err = errors.Join(m.err, m.wait(ctx, busyTimeout))
}

func (m *mover) wait(ctx context.Context, milliseconds int) error {
	_, err := m.session.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", milliseconds))
	return err
}

// written returns how many pages a connection has written since it was asked
// last.
func written(s *session) (n int, err error) {
	err = s.conn.Raw(func(conn any) error {
		n, _, err = conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, true)
		return err
	})
	return n, err
}
