package sqlmeta

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

// crashPath names, in the environment of a process that
// TestSQLiteKeepsTheUpdatesOfAKilledProcess starts, the database to write to.
const crashPath = "SQLMETA_TEST_CRASH_PATH"

const crashUpdates = 20

// TestSQLiteKeepsTheUpdatesOfAKilledProcess runs itself again as a process that
// makes updates and then dies without closing the store.
func TestSQLiteKeepsTheUpdatesOfAKilledProcess(t *testing.T) {
	t.Parallel()
	if path := os.Getenv(crashPath); path != "" {
		updateAndDie(t, path)
	}
	path := filepath.Join(t.TempDir(), "meta.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), crashPath+"="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended with %v, want it killed\n%s", err, out)
	}
	s := openSQLite(t, path)
	for i := range crashUpdates {
		if !has(t, s, fmt.Sprint("full", i)) || !has(t, s, fmt.Sprint("relaxed", i)) {
			t.Errorf("update %d was acknowledged and is lost", i)
		}
	}
	if has(t, s, "unfinished") {
		t.Error("an update that did not end is there")
	}
}

func updateAndDie(t *testing.T, path string) {
	s, err := OpenSQLite(t.Context(), SQLite{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for i := range crashUpdates {
		put(t, s, fmt.Sprint("full", i), i)
		if err := s.UpdateRelaxed(t.Context(), putOne(fmt.Sprint("relaxed", i), i)); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Update(t.Context(), func(tx meta.Tx) error { // does not come back
		if err := putOne("unfinished", 1)(tx); err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	t.Fatal("still alive")
}

// BenchmarkSQLiteOpen opens a database of 100,000 repositories.
func BenchmarkSQLiteOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "meta.db")
	s := openSQLite(b, path)
	const fill = `
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO repositories (name, has_manifests) SELECT 'team/app' || i, TRUE FROM n`
	err := s.Update(b.Context(), func(t meta.Tx) error {
		_, err := t.(*tx).exec(fill)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var opening time.Duration
	for b.Loop() {
		start := time.Now()
		s, err := OpenSQLite(b.Context(), SQLite{Path: path})
		opening += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(opening.Milliseconds())/float64(b.N), "ms/open")
}
