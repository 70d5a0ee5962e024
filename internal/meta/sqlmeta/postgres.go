package sqlmeta

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Postgres says where the database is. Several processes may share it.
type Postgres struct {
	// URL is "postgres://user:password@host/database?sslmode=verify-full", or
	// another form that libpq knows. It may hold a password: do not print it.
	URL string

	// MaxConns bounds the open connections for transactions, and once more
	// those that hold a lock on a blob; 0 means 20.
	MaxConns int
}

// Validate reports what is wrong with the values themselves.
func (c Postgres) Validate() error {
	if c.URL == "" {
		return errors.New("the URL of the PostgreSQL database is empty: use postgres://USER@HOST/DATABASE")
	}
	if _, err := pgx.ParseConfig(c.URL); err != nil {
		return fmt.Errorf("the URL of the PostgreSQL database: %w", err) // without the password
	}
	if c.MaxConns < 0 {
		return fmt.Errorf("the number of connections to PostgreSQL is %d: use 0 or more", c.MaxConns)
	}
	return nil
}

// OpenPostgres connects to the database and brings its schema up to date;
// processes that do so at once wait for each other. ctx bounds the opening.
func OpenPostgres(ctx context.Context, c Postgres) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	if c.MaxConns == 0 {
		c.MaxConns = 20
	}
	e := &postgresEngine{dialect: postgresDialect(), db: openPool(config, c.MaxConns), locks: openPool(config, c.MaxConns)}
	if err := e.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the PostgreSQL database %s on %s: %w", config.Database, config.Host, err), e.close())
	}
	return &Store{engine: e}, nil
}

func openPool(config *pgx.ConnConfig, size int) *sql.DB {
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

func postgresDialect() *dialect {
	return &dialect{
		database:   database.DialectPostgres,
		migrations: "migrations/postgres",
		bind:       dollarNumbers,
		forUpdate:  " FOR UPDATE",
		fault:      postgresFault,
	}
}

// postgresFault sorts by SQLSTATE (PostgreSQL manual, appendix A).
func postgresFault(err error) fault {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return faultOther
	}
	switch e.Code {
	case "53100": // disk_full
		return faultNoSpace
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return faultRetry
	case "23505": // unique_violation: no statement asks for one, so it is a race
		return faultRetry
	default:
		return faultOther
	}
}

// postgresEngine is an engine for a server that other processes use too.
type postgresEngine struct {
	dialect *dialect
	db      *sql.DB // transactions
	locks   *sql.DB // holders of locks, who need a transaction to go on
}

func (e *postgresEngine) migrate(ctx context.Context) error {
	// Asks for the lock each second, for five minutes.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return err
	}
	return e.dialect.migrate(ctx, e.db, goose.WithSessionLocker(locker))
}

func (e *postgresEngine) view(ctx context.Context, fn func(meta.Tx) error) error {
	q, err := e.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer q.Rollback()
	t := &tx{ctx: ctx, q: q, dialect: e.dialect}
	if err := fn(t); err != nil {
		return err
	}
	return t.failed
}

// maxAttempts bounds how often an update runs again because of another one.
// Together the pauses between them take about five seconds.
const maxAttempts = 40

func (e *postgresEngine) update(ctx context.Context, relaxed bool, fn func(meta.Tx) error) error {
	for n := 1; ; n++ {
		retry, err := e.attempt(ctx, relaxed, fn)
		if err == nil || !retry {
			return err
		}
		if n == maxAttempts {
			return fmt.Errorf("gave up after %d attempts: %w", n, err)
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}

// pause waits longer with each attempt, and by chance, so that those who got in
// each other's way do not meet again.
func pause(ctx context.Context, attempt int) error {
	most := min(time.Millisecond<<min(attempt, 10), 250*time.Millisecond)
	timer := time.NewTimer(rand.N(most)) //nolint:gosec // nothing secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt runs fn in one transaction. retry says that it may work next time.
func (e *postgresEngine) attempt(ctx context.Context, relaxed bool, fn func(meta.Tx) error) (retry bool, err error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close() //nolint:errcheck // goes back to the pool
	// Not ended by ctx, so that the outcome of COMMIT is always known.
	q, err := conn.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return false, err
	}
	defer q.Rollback()
	t := &tx{ctx: ctx, q: q, dialect: e.dialect, write: true}
	if relaxed {
		if _, err := t.exec(`SET LOCAL synchronous_commit = off`); err != nil {
			return false, err
		}
	}
	if err := call(fn, t); err != nil {
		return t.failed != nil && e.dialect.fault(t.failed) == faultRetry, err
	}
	err = q.Commit()
	return e.dialect.fault(err) == faultRetry, e.dialect.describe(err)
}

// lockBlob takes an advisory lock, which PostgreSQL ties to the connection.
func (e *postgresEngine) lockBlob(ctx context.Context, d oci.Digest) (func(), error) {
	conn, err := e.locks.Conn(ctx)
	if err != nil {
		return nil, err
	}
	key := lockKey(d)
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, key); err != nil {
		discard(conn) // it may have the lock after all
		return nil, fmt.Errorf("lock blob %s: %w", d, err)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, key); err != nil {
			discard(conn) // the lock ends with it
			return
		}
		_ = conn.Close() // goes back to the pool
	}, nil
}

// discard ends a connection instead of giving it back to the pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

// lockKey is the number of the advisory lock of d. Two digests with the same
// number wait for each other, no more.
func lockKey(d oci.Digest) int64 {
	sum := sha256.Sum256([]byte("moorgate blob " + d))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any number will do
}

func (e *postgresEngine) close() error {
	return errors.Join(e.db.Close(), e.locks.Close())
}
