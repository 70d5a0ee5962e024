package registry_test

import (
	"database/sql"
	"os"
	"testing"

	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/hot"
	"github.com/moorgate/moorgate/internal/meta/postgrestest"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/registry"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// opener makes a fixture that ends with the test.
type opener func(t *testing.T) *fixture

// overStores runs a test with the stores that the program has with each database.
func overStores(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	for name, open := range map[string]opener{"SQLite": overSQLite, "PostgreSQL": overPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// overSQLite has what is read again in memory: the database belongs to one process.
func overSQLite(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, registry.Options{})
	f.serve(t, hot.New(f.meta.Store))
	return f
}

func overPostgres(t *testing.T) *fixture {
	t.Helper()
	url := postgrestest.Start(t).NewDatabase(t)
	// Few connections: more of them only get in the way of each other.
	store, err := sqlmeta.OpenPostgres(t.Context(), sqlmeta.Postgres{URL: url, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixtureOn(t, store, registry.Options{})
	f.sql = func() (*sql.DB, error) { return sql.Open("pgx", url) }
	f.serve(t, store)
	return f
}

// serve lets the registry use a store as it is.
func (f *fixture) serve(t *testing.T, store meta.Store) {
	t.Helper()
	blobs, err := disk.Open(disk.Config{Dir: f.dir})
	if err != nil {
		t.Fatal(err)
	}
	f.Registry = registry.New(blobs, store, registry.Options{Now: f.clock})
}
