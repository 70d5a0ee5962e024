package sqlmeta

import (
	"errors"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
)

// failOnce fails the first time that op is done to name.
func failOnce(op, name string, err error) func(string, string) error {
	done := false
	return func(o, n string) error {
		if done || o != op || n != name {
			return nil
		}
		done = true
		return err
	}
}

// failAll fails whenever something is done to name.
func failAll(name string, err error) func(string, string) error {
	return func(_, n string) error {
		if n != name {
			return nil
		}
		return err
	}
}

func update(t *testing.T, s *Store, repo string) {
	t.Helper()
	if err := s.Update(t.Context(), putOne(repo, 1)); err != nil {
		t.Fatalf("update %s: %v", repo, err)
	}
}

func relaxed(t *testing.T, s *Store, repo string) {
	t.Helper()
	if err := s.UpdateRelaxed(t.Context(), putOne(repo, 1)); err != nil {
		t.Fatalf("update %s: %v", repo, err)
	}
}

// checkStore opens a database and says what of it is not as it must be.
func checkStore(t *testing.T, path string, want map[string]bool) {
	t.Helper()
	s := openSQLite(t, path)
	for repo, there := range want {
		if has(t, s, repo) != there {
			t.Errorf("repository %s is there: %v, want %v", repo, !there, there)
		}
	}
	checkRows(t, s.engine.(*sqliteEngine).readDB, "PRAGMA integrity_check", "ok")
}

func TestUpdateThatFailedAtItsCommitNeverTurnsUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, op string
		err      error
		want     error
	}{
		{"a sync fails", "sync", syscall.EIO, nil},
		{"a write fails", "write", syscall.EIO, nil},
		{"the disk is full", "write", syscall.ENOSPC, meta.ErrNoSpace},
		{"the disk is full when it syncs", "sync", syscall.ENOSPC, meta.ErrNoSpace},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, disk := openFaulty(t, t.TempDir())
			update(t, s, "before")
			disk.failWith(failOnce(test.op, "wal", test.err))
			err := s.Update(t.Context(), putOne("failed", 1))
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			want := map[string]bool{"before": true, "failed": false, "after": false}
			checkStore(t, disk.kill(t), want)
			checkStore(t, disk.cutPower(t, nil), want)
			if has(t, s, "failed") {
				t.Error("the update that failed can be seen")
			}
			update(t, s, "after")
			want["after"] = true
			checkStore(t, disk.kill(t), want)
			checkStore(t, disk.cutPower(t, nil), want)
		})
	}
}

// The log cannot be written again, but what failed has been cut off before that.
func TestUpdateInDoubtDoesNotTurnUpAfterAKill(t *testing.T) {
	t.Parallel()
	s, disk := openFaulty(t, t.TempDir())
	update(t, s, "before")
	broken := false
	disk.failWith(func(op, name string) error {
		broken = broken || op == "sync"
		if !broken || name != "wal" || op == "truncate" {
			return nil
		}
		return syscall.EIO
	})
	if err := s.Update(t.Context(), putOne("failed", 1)); err == nil {
		t.Error("no error of a failed sync")
	}
	checkStore(t, disk.kill(t), map[string]bool{"before": true, "failed": false})
}

func TestFailedSyncTakesNoEarlierUpdateAlong(t *testing.T) {
	t.Parallel()
	s, disk := openFaulty(t, t.TempDir())
	update(t, s, "before")
	relaxed(t, s, "relaxed") // not on the disk yet
	disk.failWith(failOnce("sync", "wal", syscall.EIO))
	if err := s.Update(t.Context(), putOne("failed", 1)); err == nil {
		t.Error("no error of a failed sync")
	}
	update(t, s, "after") // is behind the relaxed one in the log
	checkStore(t, disk.cutPower(t, nil), map[string]bool{"before": true, "relaxed": true, "failed": false, "after": true})
}

func TestNothingIsChangedWhileTheLogIsInDoubt(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		t.Run(fault.Error(), func(t *testing.T) {
			t.Parallel()
			s, disk := openFaulty(t, t.TempDir())
			update(t, s, "before")
			disk.failWith(failAll("wal", fault))
			if err := s.Update(t.Context(), putOne("first", 1)); err == nil || errors.Is(err, meta.ErrNoSpace) {
				t.Errorf("error %v, want one that promises nothing", err)
			}
			ran := false
			err := s.UpdateRelaxed(t.Context(), func(meta.Tx) error {
				ran = true
				return nil
			})
			if err == nil || ran || errors.Is(err, meta.ErrNoSpace) {
				t.Errorf("error %v, update ran: %v; want it refused, without a promise", err, ran)
			}
			if !has(t, s, "before") || has(t, s, "first") {
				t.Error("reads do not show what was committed")
			}
			disk.failWith(nil)
			update(t, s, "after")
			want := map[string]bool{"before": true, "first": false, "after": true}
			checkStore(t, disk.kill(t), want)
			checkStore(t, disk.cutPower(t, nil), want)
		})
	}
}

// What a former process has left cannot be mended for want of space.
func TestFullDiskInDoubtIsOpenedForReading(t *testing.T) {
	t.Parallel()
	former, disk := openFaulty(t, t.TempDir())
	update(t, former, "before")
	full := &faultDisk{path: disk.kill(t), image: map[string][]byte{}, pending: map[string][]change{}}
	full.failWith(failAll("wal", syscall.ENOSPC))
	s, err := openSQLiteOn(t.Context(), full.disk(), SQLite{Path: full.path})
	if err != nil {
		t.Fatal(err)
	}
	if !has(t, s, "before") {
		t.Error("what was committed cannot be read")
	}
	if err := s.UpdateRelaxed(t.Context(), nothing); err == nil || errors.Is(err, meta.ErrNoSpace) {
		t.Errorf("error %v, want one that promises nothing", err)
	}
	full.failWith(nil)
	update(t, s, "after")
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// Whoever removes content looks in an update: a view does not see what is in doubt.
func TestRelaxedUpdateThatChangesNothingDoesNotTouchTheDisk(t *testing.T) {
	t.Parallel()
	s, disk := openFaulty(t, t.TempDir())
	update(t, s, "before")
	disk.failWith(func(op, name string) error {
		t.Errorf("%s of %s", op, name)
		return syscall.ENOSPC
	})
	for range 3 {
		err := s.UpdateRelaxed(t.Context(), func(tx meta.Tx) error {
			_, err := tx.HasRepository("before")
			return err
		})
		if err != nil {
			t.Errorf("error %v", err)
		}
	}
}
