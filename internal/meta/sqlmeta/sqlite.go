package sqlmeta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/pressly/goose/v3/database"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// SQLite says where the database is. Only one process may have it open: the
// caller sees to that.
type SQLite struct {
	// Path is the database file. It is made if it is missing, readable by its
	// owner only; its directory must exist. Files with the same name and -wal
	// or -shm behind it belong to it.
	Path string

	// Readers is how many Views can run at once; 0 means twice the number of
	// processors. Each takes up to 2 MiB of memory.
	Readers int
}

// Validate reports what is wrong with the values themselves.
func (c SQLite) Validate() error {
	if c.Path == "" {
		return errors.New("the path of the metadata database is empty: name a file")
	}
	if c.Readers < 0 {
		return fmt.Errorf("the number of readers of the metadata database is %d: use 0 or more", c.Readers)
	}
	return nil
}

// OpenSQLite opens the database, brings its schema up to date and ends all
// leases of upload sessions: who held them is gone. ctx bounds the opening.
//
// Errors name the file and what to do.
func OpenSQLite(ctx context.Context, c SQLite) (*Store, error) {
	return openSQLiteOn(ctx, osDisk(), c)
}

func openSQLiteOn(ctx context.Context, on disk, c SQLite) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, fmt.Errorf("metadata database %s: %w", c.Path, err)
	}
	if err := ensureFile(path); err != nil {
		return nil, err
	}
	e := &sqliteEngine{dialect: sqliteDialect(), disk: on}
	if err := e.open(ctx, path, c.Readers); err != nil {
		return nil, errors.Join(explainSQLite(path, err), e.close())
	}
	return &Store{engine: e}, nil
}

func sqliteDialect() *dialect {
	return &dialect{
		database:   database.DialectSQLite3,
		migrations: "migrations/sqlite",
		bind:       questionMarks,
		fault:      sqliteFault,
	}
}

// sqliteFault sorts by result code (https://sqlite.org/rescode.html).
// IOERR_SHMSIZE is a full disk too: the index of the log could not grow.
func sqliteFault(err error) fault {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return faultNoSpace
	}
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE) {
		return faultNoSpace
	}
	return faultOther
}

// ensureFile makes the database file if it is missing. SQLite would make it
// readable by others; the files beside it get the same mode.
func ensureFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("cannot open the metadata database %s: create the directory %s first", path, filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("cannot open the metadata database: %w: it must be a file that this user can read and write", err)
	}
	return f.Close()
}

// explainSQLite turns an error of opening into a line for the operator.
func explainSQLite(path string, err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			return fmt.Errorf("the metadata database %s is damaged or not a database: restore it from a backup: %w", path, err)
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			return fmt.Errorf("cannot open the metadata database %s: this user must be able to write to it and to its directory: %w", path, err)
		case sqlite3.SQLITE_BUSY:
			return fmt.Errorf("the metadata database %s is in use: end the other process first: %w", path, err)
		}
	}
	return fmt.Errorf("cannot open the metadata database %s: %w", path, sqliteDialect().describe(err))
}

// sqliteEngine is an engine with one connection that writes and several that
// read. Write-ahead logging keeps them out of each other's way.
type sqliteEngine struct {
	dialect *dialect
	disk    disk
	writeDB *sql.DB
	readDB  *sql.DB
	repair  *repair
	writer  *writer
	readers *readers
}

func (e *sqliteEngine) open(ctx context.Context, path string, readers int) (err error) {
	if readers == 0 {
		readers = 2 * runtime.GOMAXPROCS(0)
	}
	if e.writeDB, err = openSQLiteDB(path, writerPragmas); err != nil {
		return err
	}
	if e.readDB, err = openSQLiteDB(path, readerPragmas); err != nil {
		return err
	}
	// Reads the whole schema, which a damaged file does not survive.
	var tables int
	if err := e.writeDB.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return err
	}
	if err := e.dialect.migrate(ctx, e.writeDB); err != nil {
		return err
	}
	if err := e.startWriter(ctx, path); err != nil {
		return err
	}
	e.readers = newReaders(e.readDB, e.dialect, readers)
	err = e.update(ctx, false, func(t meta.Tx) error { return t.(*tx).clearLeases() })
	var doubt *inDoubt
	if errors.Is(err, meta.ErrNoSpace) || errors.As(err, &doubt) && e.dialect.fault(doubt.cause) == faultNoSpace {
		return nil // what is stored can still be read, and leases end by themselves
	}
	return err
}

// startWriter begins with a log in doubt: a former process may have died before
// it could mend it. The names of the files are durable before anything in them
// is acknowledged; SQLite makes no new ones until it closes the database.
func (e *sqliteEngine) startWriter(ctx context.Context, path string) error {
	s, err := newSession(ctx, e.writeDB)
	if err != nil {
		return err
	}
	e.writeDB.SetMaxIdleConns(0) // those of the migration: the writer's has to be closed last
	e.repair = &repair{path: path, disk: e.disk, session: s, log: true}
	m, err := newMover(ctx, e.repair, usualLimits())
	if err != nil {
		return errors.Join(err, s.close())
	}
	e.writer = startWriter(ctx, s, e.dialect, e.repair, m)
	return e.disk.syncDirectory(filepath.Dir(path))
}

// busyTimeout is how long a connection waits for another process, milliseconds.
const busyTimeout = 10000

// The writer commits with synchronous=FULL or NORMAL, see writer. Temporary
// tables, and with them what a savepoint must remember, stay in memory: there
// may be no directory for temporary files. A log that a burst of writes made
// long is cut to journal_size_limit (bytes). It is moved into the database by
// mover, and never by SQLite itself.
var writerPragmas = []string{ //nolint:gochecknoglobals // a constant table
	"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "wal_autocheckpoint(0)",
	"temp_store(MEMORY)", "trusted_schema(0)", "journal_size_limit(67108864)", "cache_size(-8192)",
}

var readerPragmas = []string{ //nolint:gochecknoglobals // a constant table
	"busy_timeout(10000)", "query_only(1)", "temp_store(MEMORY)", "trusted_schema(0)", "cache_size(-2048)",
}

func openSQLiteDB(path string, pragmas []string) (*sql.DB, error) {
	// _dqs: a misspelt column in double quotes is an error, not a string.
	values := url.Values{"_pragma": pragmas, "_dqs": {"0"}, "_error_rc": {"1"}}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: values.Encode()}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func (e *sqliteEngine) view(ctx context.Context, fn func(meta.Tx) error) error {
	return e.readers.view(ctx, fn)
}

func (e *sqliteEngine) update(ctx context.Context, relaxed bool, fn func(meta.Tx) error) error {
	return e.writer.update(ctx, relaxed, fn)
}

// lockBlob has nothing to do: there is no other process.
func (e *sqliteEngine) lockBlob(context.Context, oci.Digest) (func(), error) {
	return func() {}, nil
}

// close ends the readers first, so that the connection of the writer is the
// last one: SQLite then moves the log into the database. It also cleans up
// after a failed open.
func (e *sqliteEngine) close() error {
	var errs []error
	if e.readers != nil {
		errs = append(errs, e.readers.close())
	}
	if e.readDB != nil {
		errs = append(errs, e.readDB.Close())
	}
	if e.writer != nil {
		errs = append(errs, e.writer.close())
	}
	if e.writeDB != nil {
		errs = append(errs, e.writeDB.Close())
	}
	if e.repair != nil {
		errs = append(errs, e.repair.close())
	}
	return errors.Join(errs...)
}
