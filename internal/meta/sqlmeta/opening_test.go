package sqlmeta

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestNamesOfTheFilesAreSyncedBeforeTheFirstUpdate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "meta.db")
	on, synced := osDisk(), 0
	on.syncDirectory = func(dir string) error {
		for _, file := range []string{path, path + "-wal"} {
			if _, err := os.Stat(file); err != nil || filepath.Dir(file) != dir {
				t.Errorf("%s is not there to be synced in %s: %v", file, dir, err)
			}
		}
		synced++
		return nil
	}
	for opened := 1; opened <= 2; opened++ { // the log is made anew each time
		s, err := openSQLiteOn(t.Context(), on, SQLite{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if synced != opened {
			t.Errorf("synced %d times when it was opened %d times", synced, opened)
		}
	}
	on.syncDirectory = func(string) error { return syscall.EIO }
	if s, err := openSQLiteOn(t.Context(), on, SQLite{Path: path}); !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v, want %v", err, syscall.EIO)
		if err == nil {
			_ = s.Close()
		}
	}
}

// A process may die when it has lost frames to a failed sync: they can be read as
// long as the machine runs.
func TestLogOfAProcessThatDiedIsWrittenAgain(t *testing.T) {
	t.Parallel()
	former, disk := openFaulty(t, t.TempDir())
	update(t, former, "before")
	dir := filepath.Dir(disk.kill(t))
	s, disk := openFaultyOn(t, dir, func(image map[string][]byte) { image["wal"] = nil })
	update(t, s, "after")
	checkStore(t, disk.cutPower(t, nil), map[string]bool{"before": true, "after": true})
}

func TestStoreThatCannotBeMendedIsLeftForTheNextStart(t *testing.T) {
	t.Parallel()
	s, disk := openFaulty(t, t.TempDir())
	update(t, s, "before")
	disk.failWith(failAll("wal", syscall.EIO))
	if err := s.Update(t.Context(), putOne("failed", 1)); err == nil {
		t.Error("no error of a failed write")
	}
	if err := s.Close(); err == nil {
		t.Error("closed as if nothing had been")
	}
	if _, err := os.Stat(disk.file("wal")); err != nil {
		t.Errorf("the log is gone: %v", err)
	}
	checkStore(t, disk.kill(t), map[string]bool{"before": true, "failed": false})
}
