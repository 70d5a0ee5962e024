package sqlmeta

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/metatest"
	"github.com/moorgate/moorgate/internal/oci"
)

// openSQLite opens a database that is closed when t ends.
func openSQLite(t testing.TB, path string) *Store {
	t.Helper()
	s, err := OpenSQLite(t.Context(), SQLite{Path: path})
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

func newSQLite(t testing.TB) *Store {
	t.Helper()
	return openSQLite(t, filepath.Join(t.TempDir(), "meta.db"))
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	metatest.Run(t, func(t testing.TB) meta.Store { return newSQLite(t) })
}

func TestSQLiteOpenedAgain(t *testing.T) {
	t.Parallel()
	// A name that must not be taken for options.
	path := filepath.Join(t.TempDir(), "meta data?mode=memory&#%41.db")
	metatest.Reopen(t, func(t testing.TB) meta.Store { return openSQLite(t, path) })
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func BenchmarkSQLite(b *testing.B) {
	metatest.Benchmark(b, func(t testing.TB) meta.Store { return newSQLite(t) })
}

func TestSQLiteFilesAreForTheirOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSQLite(t, filepath.Join(dir, "meta.db"))
	put(t, s, "app", 1)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 3 {
		t.Errorf("%d files, want the database, its log and the index of the log", len(files))
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", f.Name(), info.Mode().Perm())
		}
	}
}

func TestSQLiteRefusesToOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := filepath.Join(dir, "whole.db")
	if err := openSQLite(t, whole).Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte{}, content...)
	copy(damaged[100:], strings.Repeat("damage", 200))

	tests := []struct{ name, path, want string }{
		{"no path", "", "the path of the metadata database is empty"},
		{"no directory", filepath.Join(dir, "none", "meta.db"), "create the directory " + filepath.Join(dir, "none")},
		{"a directory", dir, "must be a file"},
		{"a text", write("text.db", []byte(strings.Repeat("not a database ", 100))), "damaged or not a database"},
		{"a damaged schema", write("damaged.db", damaged), "damaged or not a database"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := OpenSQLite(t.Context(), SQLite{Path: test.path})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
		})
	}
}

// put stores a manifest n with a tag and a blob.
func put(t testing.TB, s *Store, repo string, n int) {
	t.Helper()
	if err := s.Update(t.Context(), putOne(repo, n)); err != nil {
		t.Fatal(err)
	}
}

func putOne(repo string, n int) func(meta.Tx) error {
	return func(tx meta.Tx) error {
		d := oci.SHA256.FromString(fmt.Sprint(n))
		m := meta.Manifest{Digest: d, MediaType: "text/plain", Size: 4, Body: []byte("body"), PushedAt: time.Unix(1, 0)}
		if err := tx.LinkBlob(repo, d, 4, time.Unix(1, 0)); err != nil {
			return err
		}
		if err := tx.PutManifest(repo, m, []meta.Reference{{Digest: d}, {Digest: d, Manifest: true}}); err != nil {
			return err
		}
		return tx.SetTag(repo, meta.Tag{Name: fmt.Sprint("v", n), Digest: d, SetAt: time.Unix(1, 0), SetBy: "alice"})
	}
}

func TestSQLiteFullDisk(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	put(t, s, "app", 1)
	limit := func(pages int) {
		// The writer is idle, so its connection is free.
		query := fmt.Sprintf("PRAGMA max_page_count = %d", pages)
		if _, err := s.engine.(*sqliteEngine).writer.session.conn.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // which means: not larger than now
	large := func(tx meta.Tx) error {
		return tx.PutManifest("app", meta.Manifest{
			Digest: oci.SHA256.FromString("large"), Body: make([]byte, 1<<20),
		}, nil)
	}
	for range 2 {
		if err := s.Update(t.Context(), large); !errors.Is(err, meta.ErrNoSpace) {
			t.Errorf("error %v, want %v", err, meta.ErrNoSpace)
		}
		if err := s.Update(t.Context(), func(tx meta.Tx) error {
			_ = large(tx) // kept to itself
			return nil
		}); !errors.Is(err, meta.ErrNoSpace) {
			t.Errorf("error %v, want %v", err, meta.ErrNoSpace)
		}
	}
	if err := s.View(t.Context(), func(tx meta.Tx) error {
		_, err := tx.ManifestByTag("app", "v1")
		return err
	}); err != nil {
		t.Errorf("cannot read while the disk is full: %v", err)
	}
	limit(1 << 30)
	if err := s.Update(t.Context(), large); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestSQLiteEndsLeasesOfFormerProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "meta.db")
	u := meta.Upload{
		Repo: "app", State: blob.State{ID: "id", Algorithm: oci.SHA256},
		StartedAt: time.Unix(1, 0).UTC(), ExpiresAt: time.Unix(2, 0).UTC(), LeaseBy: "request", LeaseUntil: time.Unix(9, 0).UTC(),
	}
	s := openSQLite(t, path)
	if err := s.Update(t.Context(), func(tx meta.Tx) error { return tx.SaveUpload(u) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	u.LeaseBy, u.LeaseUntil = "", time.Time{}
	var got meta.Upload
	err := openSQLite(t, path).View(t.Context(), func(tx meta.Tx) (err error) {
		got, err = tx.Upload("id")
		return err
	})
	if diff := cmp.Diff(u, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestSQLiteKeepsTagHistoryAndReferences(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	put(t, s, "app", 1)
	put(t, s, "app", 1) // the same again
	err := s.Update(t.Context(), func(tx meta.Tx) error { return tx.DeleteTag("app", "v1", "bob", time.Unix(2, 0)) })
	if err != nil {
		t.Fatal(err)
	}
	db := s.engine.(*sqliteEngine).readDB
	d := oci.SHA256.FromString("1").String()
	checkRows(t, db, `SELECT name || ' ' || digest || ' ' || action || ' ' || changed_at || ' ' || changed_by FROM tag_history ORDER BY id`,
		"v1 "+d+" set 1000000 alice", "v1 "+d+" set 1000000 alice", "v1 "+d+" delete 2000000 bob")
	checkRows(t, db, `SELECT digest || is_manifest FROM manifest_refs ORDER BY 1`, d+"0", d+"1")
	err = s.Update(t.Context(), func(tx meta.Tx) error { return tx.DeleteManifest("app", oci.SHA256.FromString("1")) })
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, db, `SELECT digest FROM manifest_refs`)
}

func checkRows(t *testing.T, db *sql.DB, query string, want ...string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		v, err := column[string](rows)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", query, diff)
	}
}
