package gc

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/oci"
)

// expiry is how long an upload of these tests may rest.
const expiry = time.Hour

// fixture is a janitor with stores of its own and a clock that the test moves.
type fixture struct {
	*Uploads
	dir string
	now time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), now: time.Now()}
	blobs, err := disk.Open(disk.Config{Dir: f.dir})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: filepath.Join(f.dir, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	f.Uploads = &Uploads{
		Blobs: blobs, Meta: store, Log: slog.New(slog.DiscardHandler),
		Every: time.Hour, Expiry: expiry, Now: func() time.Time { return f.now },
	}
	return f
}

// upload writes the bytes of an upload and leaves them.
func (f *fixture) upload(t *testing.T, id string) blob.State {
	t.Helper()
	up, err := f.Blobs.Upload(t.Context(), blob.State{ID: id, Algorithm: oci.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Append(t.Context(), bytes.NewReader(make([]byte, 1000))); err != nil {
		t.Fatal(err)
	}
	state, err := up.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	return state
}

// session saves a session that expires an expiry from now.
func (f *fixture) session(t *testing.T, state blob.State, edit func(*meta.Upload)) {
	t.Helper()
	u := meta.Upload{Repo: "app", Owner: "alice", State: state, StartedAt: f.now, ExpiresAt: f.now.Add(expiry)}
	if edit != nil {
		edit(&u)
	}
	err := f.Meta.Update(t.Context(), func(tx meta.Tx) error { return tx.SaveUpload(u) })
	if err != nil {
		t.Fatal(err)
	}
}

// want fails the test unless the next round removes n uploads.
func (f *fixture) want(t *testing.T, n int) {
	t.Helper()
	got, err := f.Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != n {
		t.Errorf("%d uploads removed, want %d", got, n)
	}
}

// there reports whether the bytes of an upload and its session are there.
func (f *fixture) there(t *testing.T, id string) (file, session bool) {
	t.Helper()
	_, err := os.Stat(filepath.Join(f.dir, "uploads", id))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	file = err == nil
	err = f.Meta.View(t.Context(), func(tx meta.Tx) error {
		_, err := tx.Upload(id)
		return err
	})
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		t.Fatal(err)
	}
	return file, err == nil
}

func (f *fixture) wantThere(t *testing.T, id string, want bool) {
	t.Helper()
	if file, session := f.there(t, id); file != want || session != want {
		t.Errorf("upload %s: file %v, session %v; want both %v", id, file, session, want)
	}
}

func TestExpiredSessionGoesWithItsBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.session(t, f.upload(t, "old"), nil)
	f.session(t, blob.State{ID: "empty", Algorithm: oci.SHA256}, nil)
	f.now = f.now.Add(expiry / 2)
	f.session(t, f.upload(t, "young"), nil)
	f.want(t, 0)
	f.wantThere(t, "old", true)

	f.now = f.now.Add(expiry/2 + time.Second)
	f.want(t, 2)
	f.wantThere(t, "old", false)
	f.wantThere(t, "empty", false)
	f.wantThere(t, "young", true)
	f.want(t, 0)
}

func TestSessionThatGoesOnSurvives(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	state := f.upload(t, "going-on")
	f.session(t, state, nil)
	f.now = f.now.Add(expiry - time.Second)
	f.session(t, state, nil) // a request extends it; the file is as old as before
	f.now = f.now.Add(expiry - time.Second)
	f.want(t, 0)
	f.wantThere(t, "going-on", true)
}

func TestSessionThatIsWrittenToSurvives(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.session(t, f.upload(t, "busy"), func(u *meta.Upload) {
		u.LeaseBy, u.LeaseUntil = "a request", f.now.Add(10*expiry)
	})
	f.now = f.now.Add(2 * expiry)
	f.want(t, 0)
	f.wantThere(t, "busy", true)
}

func TestAbandonedBytesGo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.upload(t, "abandoned") // a push in one piece that a crash cut off
	open, err := f.Blobs.Upload(t.Context(), blob.State{ID: "open", Algorithm: oci.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	f.want(t, 0)
	f.now = f.now.Add(expiry + time.Minute)
	f.want(t, 1)
	if file, _ := f.there(t, "abandoned"); file {
		t.Error("the abandoned bytes are still there")
	}
	if file, _ := f.there(t, "open"); !file {
		t.Error("the bytes of an upload that somebody writes to are gone")
	}
	if err := open.Cancel(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestManyExpiredSessionsGoInOneRound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const many = 2*batch + 1
	err := f.Meta.Update(t.Context(), func(tx meta.Tx) error {
		for i := range many {
			state := blob.State{ID: "s" + string(rune('a'+i%26)) + string(rune('a'+i/26)), Algorithm: oci.SHA256}
			if err := tx.SaveUpload(meta.Upload{Repo: "app", State: state, StartedAt: f.now, ExpiresAt: f.now}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Second)
	f.want(t, many)
	f.want(t, 0)
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.session(t, f.upload(t, "old"), nil)
	f.now = f.now.Add(2 * expiry)
	f.Every = time.Millisecond
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(t.Context()) // ends when the test is over
	}()
	t.Cleanup(func() { <-done })
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if file, session := f.there(t, "old"); !file && !session {
			return
		}
		select {
		case <-deadline.C:
			t.Fatal("the expired upload is still there")
		case <-tick.C:
		}
	}
}
