package sqlmeta

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/metatest"
	"github.com/moorgate/moorgate/internal/meta/postgrestest"
	"github.com/moorgate/moorgate/internal/oci"
)

// openPostgres opens a database that is closed when t ends.
func openPostgres(t testing.TB, url string) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), Postgres{URL: url, MaxConns: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	metatest.Run(t, func(t testing.TB) meta.Store { return openPostgres(t, server.NewDatabase(t)) })
}

func TestPostgresOpenedAgain(t *testing.T) {
	t.Parallel()
	url := postgrestest.Start(t).NewDatabase(t)
	metatest.Reopen(t, func(t testing.TB) meta.Store { return openPostgres(t, url) })
}

func BenchmarkPostgres(b *testing.B) {
	server := postgrestest.Start(b)
	metatest.Benchmark(b, func(t testing.TB) meta.Store { return openPostgres(t, server.NewDatabase(t)) })
}

func TestPostgresReplicasStartAtOnce(t *testing.T) {
	t.Parallel()
	url := postgrestest.Start(t).NewDatabase(t)
	ended := make(chan error, 4)
	for range cap(ended) {
		go func() {
			s, err := OpenPostgres(t.Context(), Postgres{URL: url})
			if err == nil {
				err = s.Close()
			}
			ended <- err
		}()
	}
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestPostgresReplicasShareBlobLocks(t *testing.T) {
	t.Parallel()
	url := postgrestest.Start(t).NewDatabase(t)
	one, two := openPostgres(t, url), openPostgres(t, url)
	d := oci.SHA256.FromString("x")
	unlock, err := one.LockBlob(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	other, err := two.LockBlob(t.Context(), oci.SHA256.FromString("y"))
	if err != nil {
		t.Fatalf("lock of another blob: %v", err)
	}
	other()

	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := two.LockBlob(ctx, d)
		gaveUp <- err
	}()
	awaitWaiters(t, one, 1)
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	awaitWaiters(t, one, 0)

	locked := make(chan error, 1)
	go func() {
		unlock, err := two.LockBlob(t.Context(), d)
		if err == nil {
			unlock()
		}
		locked <- err
	}()
	awaitWaiters(t, one, 1)
	select {
	case err := <-locked:
		t.Fatalf("two replicas hold the lock: %v", err)
	default:
	}
	unlock()
	if err := <-locked; err != nil {
		t.Error(err)
	}
}

// awaitWaiters waits until n connections wait for an advisory lock.
func awaitWaiters(t *testing.T, s *Store, n int) {
	t.Helper()
	const query = `
SELECT COUNT(*) FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	for waiters := -1; waiters != n; {
		row := s.engine.(*postgresEngine).db.QueryRowContext(t.Context(), query)
		if err := row.Scan(&waiters); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPostgresUploadIsLockedInAnUpdate(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	s := openPostgres(t, server.NewDatabase(t))
	save := func(offset int64) func(meta.Tx) error {
		return func(tx meta.Tx) error {
			u, err := tx.Upload("id")
			if err != nil && !errors.Is(err, meta.ErrNotFound) {
				return err
			}
			u.State.ID = "id"
			u.State.Offset += offset
			return tx.SaveUpload(u)
		}
	}
	if err := s.Update(t.Context(), save(1)); err != nil {
		t.Fatal(err)
	}
	runs := 0
	read, other := make(chan struct{}), make(chan error, 1)
	go func() {
		<-read
		other <- s.Update(t.Context(), save(10))
	}()
	err := s.Update(t.Context(), func(tx meta.Tx) error {
		if runs++; runs == 1 {
			if _, err := tx.Upload("id"); err != nil {
				return err
			}
			close(read)
			awaitRowWaiter(t, s)
		}
		return save(100)(tx)
	})
	if err := errors.Join(err, <-other); err != nil {
		t.Fatal(err)
	}
	if runs != 1 {
		t.Errorf("the update that had the session ran %d times, want once", runs)
	}
	if err := s.Update(t.Context(), func(tx meta.Tx) error {
		u, err := tx.Upload("id")
		if err == nil && u.State.Offset != 111 {
			err = fmt.Errorf("offset is %d, want 111", u.State.Offset)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// awaitRowWaiter waits until a transaction waits for another one to end.
func awaitRowWaiter(t *testing.T, s *Store) {
	const query = `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'`
	for waiters := 0; waiters == 0; {
		if err := s.engine.(*postgresEngine).db.QueryRowContext(t.Context(), query).Scan(&waiters); err != nil {
			t.Error(err)
			return
		}
	}
}

func TestPostgresGivesUpAfterManyConflicts(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, postgrestest.Start(t).NewDatabase(t))
	runs := 0
	err := s.Update(t.Context(), func(tx meta.Tx) error {
		runs++
		return raise(tx, "40001")
	})
	if err == nil || runs != maxAttempts || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("error %v after %d runs, want one after %d", err, runs, maxAttempts)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = s.Update(ctx, func(tx meta.Tx) error {
		err := raise(tx, "40P01")
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestPostgresFullDisk(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, postgrestest.Start(t).NewDatabase(t))
	err := s.Update(t.Context(), func(tx meta.Tx) error { return raise(tx, "53100") })
	if !errors.Is(err, meta.ErrNoSpace) {
		t.Errorf("error %v, want %v", err, meta.ErrNoSpace)
	}
}

// raise lets a statement fail with a SQLSTATE.
func raise(t meta.Tx, state string) error {
	_, err := t.(*tx).exec(`DO $$ BEGIN RAISE EXCEPTION 'test' USING ERRCODE = '` + state + `'; END $$`)
	return err
}

func TestPostgresRefusesToOpen(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, url, want string }{
		{"no URL", "", "the URL of the PostgreSQL database is empty"},
		{"not a URL", "postgres://user:secret@host:port/x", "the URL of the PostgreSQL database"},
		{"no server", "postgres://user:secret@/x?host=" + t.TempDir(), "open the PostgreSQL database x"},
		{"no database", postgrestest.Start(t).URL("none"), `"none" does not exist`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := OpenPostgres(t.Context(), Postgres{URL: test.url})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error has the password: %v", err)
			}
		})
	}
}
