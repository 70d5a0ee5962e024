package sqlmeta

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// limitLog gives a store a log that is full soon.
func limitLog(t *testing.T, s *Store, l limits) {
	t.Helper()
	err := s.Update(t.Context(), func(meta.Tx) error {
		m := s.engine.(*sqliteEngine).writer.mover // of this goroutine
		m.limits, m.due = l, 0
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), nothing); err != nil { // begins after a checkpoint
		t.Fatal(err)
	}
}

// large makes an update of about 50 pages that nothing else is on, and waits for
// the checkpoint behind it, if there is one.
func large(t *testing.T, s *Store, repo string) {
	t.Helper()
	for _, fn := range []func(meta.Tx) error{putLarge(repo), nothing} {
		if err := s.Update(t.Context(), fn); err != nil {
			t.Fatalf("update %s: %v", repo, err)
		}
	}
}

func putLarge(repo string) func(meta.Tx) error {
	return func(tx meta.Tx) error {
		body := []byte(strings.Repeat(repo, 200_000/len(repo)))
		return tx.PutManifest(repo, meta.Manifest{Digest: oci.SHA256.FromString(repo), Body: body}, nil)
	}
}

// logOf says how far the log of an idle store has come.
func logOf(t *testing.T, s *Store) progress {
	t.Helper()
	at, err := checkpoint(t.Context(), s.engine.(*sqliteEngine).writer.session, "NOOP")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// holdView keeps a snapshot until release is called.
func holdView(t *testing.T, s *Store) (release func()) {
	t.Helper()
	began, hold, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.View(context.Background(), func(tx meta.Tx) error {
			_, err := tx.HasRepository("app") // the snapshot is taken by the first read
			close(began)
			<-hold
			return err
		})
	}()
	<-began
	release = sync.OnceFunc(func() {
		close(hold)
		if err := <-ended; err != nil {
			t.Errorf("view: %v", err)
		}
	})
	t.Cleanup(release) // the store cannot be closed before
	return release
}

func soon() limits { return limits{after: 40, again: 40, long: 1000, stuck: 4000} }

func TestCheckpointThatFailedIsNotBuiltOn(t *testing.T) {
	t.Parallel()
	s, disk := openFaulty(t, t.TempDir())
	limitLog(t, s, soon())
	release := holdView(t, s)
	large(t, s, "held") // in the log behind what the view needs
	late := holdView(t, s)
	release()
	large(t, s, "copied") // copies only what is before it: "held", which is not synced
	if at := logOf(t, s); at.copied == 0 || at.copied == at.frames {
		t.Fatalf("%d of %d frames are copied, want some of them", at.copied, at.frames)
	}
	late()
	disk.failWith(failOnce("sync", "db", syscall.EIO)) // loses "held" too
	large(t, s, "lost")
	disk.failWith(nil)
	large(t, s, "moved") // copies the rest
	if at := logOf(t, s); at.copied != at.frames {
		t.Fatalf("%d of %d frames are copied, want all", at.copied, at.frames)
	}
	update(t, s, "restarted") // begins the log anew
	if at := logOf(t, s); at.frames > 40 {
		t.Fatalf("the log has %d frames, want it begun anew", at.frames)
	}
	checkStore(t, disk.cutPower(t, nil), map[string]bool{
		"held": true, "copied": true, "lost": true, "moved": true, "restarted": true,
	})
}

func TestLogIsKeptWhileTheDatabaseCannotBeWritten(t *testing.T) {
	t.Parallel()
	s, disk := openFaulty(t, t.TempDir())
	limitLog(t, s, soon())
	disk.failWith(failAll("db", syscall.EIO))
	want := map[string]bool{}
	for i := range 5 {
		repo := fmt.Sprint("app", i)
		large(t, s, repo)
		want[repo] = true
	}
	checkStore(t, disk.cutPower(t, nil), want)
	disk.failWith(nil)
	large(t, s, "after")
	large(t, s, "again")
	if at := logOf(t, s); at.frames > 100 {
		t.Errorf("the log has %d frames, want it begun anew", at.frames)
	}
	want["after"], want["again"] = true, true
	checkStore(t, disk.cutPower(t, nil), want)
}

func TestUpdatesFailBeforeALogThatCannotBeMovedFillsTheDisk(t *testing.T) {
	t.Parallel()
	s, disk := openFaulty(t, t.TempDir())
	limitLog(t, s, limits{after: 40, again: 40, long: 200, stuck: 200})
	disk.failWith(failAll("db", syscall.EIO))
	var err error
	for i := 0; err == nil; i++ {
		if i == 20 {
			t.Fatal("the log grows without an end")
		}
		err = s.Update(t.Context(), putLarge(fmt.Sprint("app", i)))
	}
	if !strings.Contains(err.Error(), "cannot be changed until its log") {
		t.Errorf("error %v, want one that says why", err)
	}
	if !has(t, s, "app0") {
		t.Error("reads do not go on")
	}
	if err := s.UpdateRelaxed(t.Context(), nothing); err != nil {
		t.Errorf("error %v of an update that changes nothing", err)
	}
	disk.failWith(nil)
	large(t, s, "after")
}

func TestLogBeginsAnewWhenItsReaderEnds(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	limitLog(t, s, limits{after: 40, again: 40, long: 100, stuck: 200})
	release := holdView(t, s)
	for i := range 6 { // longer than stuck: a reader is no error
		large(t, s, fmt.Sprint("app", i))
	}
	if at := logOf(t, s); at.frames < 250 || at.copied == at.frames {
		t.Errorf("%d of %d frames are copied while a reader needs them", at.copied, at.frames)
	}
	release()
	large(t, s, "moved")
	update(t, s, "restarted")
	if at := logOf(t, s); at.frames > 40 {
		t.Errorf("the log has %d frames, want it begun anew", at.frames)
	}
}
