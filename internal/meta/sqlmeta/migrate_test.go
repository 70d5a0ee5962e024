package sqlmeta

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/postgrestest"
	"github.com/moorgate/moorgate/internal/oci"
)

// schema1 is a database as the first migration leaves it.
func schema1(t *testing.T, d *dialect, db *sql.DB) {
	t.Helper()
	files, err := fs.Sub(migrationFiles, d.migrations)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(d.database, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

// oldRows are a repository with a tagged manifest that names a blob, as programs
// write them that know the first migration alone.
func oldRows(d *dialect, repo string) []string {
	body := "''"
	if d.database == goose.DialectSQLite3 { // text is no blob there
		body = "x''"
	}
	return []string{
		`INSERT INTO repositories (name, has_manifests) VALUES ('` + repo + `', TRUE)`,
		`INSERT INTO manifests (repo, digest, media_type, artifact_type, annotations, size, pushed_at, body)
SELECT id, '` + oci.SHA256.FromString("m").String() + `', '', '', '', 0, 0, ` + body + ` FROM repositories WHERE name = '` + repo + `'`,
		`INSERT INTO manifest_refs (manifest, digest, is_manifest)
SELECT m.id, '` + oci.SHA256.FromString("b").String() + `', FALSE FROM manifests m JOIN repositories r ON r.id = m.repo WHERE r.name = '` + repo + `'`,
		`INSERT INTO tags (repo, name, manifest, set_at, set_by)
SELECT m.repo, 'v1', m.id, 0, '' FROM manifests m JOIN repositories r ON r.id = m.repo WHERE r.name = '` + repo + `'`,
	}
}

// checkUpgrade checks that references are found which older programs write: into
// db before the last migration, and after it, while both programs run.
func checkUpgrade(t *testing.T, d *dialect, db *sql.DB, open func() *Store) {
	t.Helper()
	write := func(repo string) {
		t.Helper()
		for _, statement := range oldRows(d, repo) {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%v in %s", err, statement)
			}
		}
	}
	schema1(t, d, db)
	write("before")
	s := open()
	write("after")
	for _, repo := range []string{"before", "after"} {
		var got []string
		err := s.View(t.Context(), func(tx meta.Tx) (err error) {
			got, err = tx.TagsUsing(repo, oci.SHA256.FromString("b"))
			return err
		})
		if diff := cmp.Diff([]string{"v1"}, got); err != nil || diff != "" {
			t.Errorf("tags of %s: error %v (-want +got):\n%s", repo, err, diff)
		}
	}
}

func TestSQLiteUpgradeFindsOldReferences(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "meta.db")
	db, err := openSQLiteDB(path, writerPragmas)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // of a test
	checkUpgrade(t, sqliteDialect(), db, func() *Store { return openSQLite(t, path) })
}

func TestPostgresUpgradeFindsOldReferences(t *testing.T) {
	t.Parallel()
	url := postgrestest.Start(t).NewDatabase(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := openPool(config, 2)
	defer db.Close() //nolint:errcheck // of a test
	checkUpgrade(t, postgresDialect(), db, func() *Store { return openPostgres(t, url) })
}
