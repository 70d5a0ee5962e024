package gc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/postgrestest"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// grace is how long content stays in the worlds of these tests.
const grace = time.Hour

// world is a registry with its janitor, on real stores that the test can disturb,
// and with a clock that it moves.
type world struct {
	*registry.Registry
	*Blobs
	dir  string
	meta *hookedMeta
	disk *hookedBlobs
	log  bytes.Buffer // of the janitor

	mu  sync.Mutex
	now time.Time
}

// overStores runs a test with both databases.
func overStores(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, openSQLite(t)))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		store, err := sqlmeta.OpenPostgres(t.Context(), sqlmeta.Postgres{URL: postgrestest.Start(t).NewDatabase(t), MaxConns: 10})
		if err != nil {
			t.Fatal(err)
		}
		test(t, newWorld(t, store))
	})
}

func openSQLite(t *testing.T) meta.Store {
	t.Helper()
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: filepath.Join(t.TempDir(), "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func newWorld(t *testing.T, store meta.Store) *world {
	t.Helper()
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{dir: t.TempDir(), now: time.Now(), meta: &hookedMeta{Store: store}}
	blobs, err := disk.Open(disk.Config{Dir: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	w.disk = &hookedBlobs{Store: blobs}
	w.Registry = registry.New(w.disk, store, registry.Options{FreeAfter: grace, Now: w.clock})
	w.Blobs = NewBlobs(w.disk, w.meta, BlobsOptions{
		Log: slog.New(slog.NewTextHandler(&w.log, nil)), Every: time.Hour, SweepEvery: time.Hour, FreeAfter: grace, Now: w.clock,
	})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// hookedMeta calls a function of the test before or after a step of the janitor.
type hookedMeta struct {
	meta.Store
	beforeLock  func()
	afterUpdate func()
	full        bool  // nothing can be written
	doubt       error // of updates: it is not known what was committed
}

func (m *hookedMeta) LockBlob(ctx context.Context, d oci.Digest) (func(), error) {
	if hook := m.beforeLock; hook != nil {
		m.beforeLock = nil
		hook()
	}
	return m.Store.LockBlob(ctx, d)
}

func (m *hookedMeta) UpdateRelaxed(ctx context.Context, fn func(meta.Tx) error) error {
	if m.doubt != nil {
		return m.doubt
	}
	err := m.Store.UpdateRelaxed(ctx, func(tx meta.Tx) error { return fn(hookedTx{tx, m.full}) })
	if hook := m.afterUpdate; hook != nil {
		m.afterUpdate = nil
		hook()
	}
	return err
}

type hookedTx struct {
	meta.Tx
	full bool
}

func (tx hookedTx) DropReview(d oci.Digest) error {
	if tx.full {
		return meta.ErrNoSpace
	}
	return tx.Tx.DropReview(d)
}

// hookedBlobs cannot delete one content, and calls a function of the test before it
// opens one.
type hookedBlobs struct {
	blob.Store
	stuck      oci.Digest
	beforeOpen func()
}

func (b *hookedBlobs) Open(ctx context.Context, d oci.Digest) (io.ReadSeekCloser, int64, error) {
	if hook := b.beforeOpen; hook != nil {
		b.beforeOpen = nil
		hook()
	}
	return b.Store.Open(ctx, d)
}

var errStuck = errors.New("it is stuck")

func (b *hookedBlobs) Delete(ctx context.Context, d oci.Digest) error {
	if d == b.stuck {
		return errStuck
	}
	return b.Store.Delete(ctx, d)
}

func anything(registry.Effect) error { return nil }

// push stores a blob in some repositories.
func (w *world) push(t *testing.T, text string, repos ...string) oci.Digest {
	t.Helper()
	d := oci.SHA256.FromString(text)
	for _, repo := range repos {
		if err := w.PushBlob(t.Context(), repo, d, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// lose stores content as a push does that is cut off before it links it.
func (w *world) lose(t *testing.T, text string) oci.Digest {
	t.Helper()
	d := oci.SHA256.FromString(text)
	up, err := w.disk.Upload(t.Context(), blob.State{ID: d.Encoded(), Algorithm: oci.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Append(t.Context(), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := up.Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// remove deletes a blob from some repositories.
func (w *world) remove(t *testing.T, d oci.Digest, repos ...string) {
	t.Helper()
	for _, repo := range repos {
		if err := w.DeleteBlob(t.Context(), repo, d, anything); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns what a blob of a repository is.
func (w *world) read(ctx context.Context, repo string, d oci.Digest) (string, error) {
	content, _, err := w.Blob(ctx, repo, d)
	if err != nil {
		return "", err
	}
	defer content.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(content)
	return string(text), err
}

// wantRead fails the test unless a repository holds a blob of that text.
func (w *world) wantRead(t *testing.T, repo, text string) {
	t.Helper()
	if got, err := w.read(t.Context(), repo, oci.SHA256.FromString(text)); got != text || err != nil {
		t.Errorf("the blob of %s is %q: %v", repo, got, err)
	}
}

// wantFreed fails the test unless the next look removes what has these texts.
func (w *world) wantFreed(t *testing.T, texts ...string) {
	t.Helper()
	freed, err := w.Once(t.Context())
	if err != nil {
		t.Error(err)
	}
	w.compare(t, freed, texts)
}

// compare fails the test unless freed is what has these texts.
func (w *world) compare(t *testing.T, freed Freed, texts []string) {
	t.Helper()
	want := Freed{Blobs: len(texts)}
	for _, text := range texts {
		want.Bytes += int64(len(text))
		if _, err := w.disk.Stat(t.Context(), oci.SHA256.FromString(text)); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%q is still there: %v", text, err)
		}
	}
	if freed != want {
		t.Errorf("freed %+v, want %+v", freed, want)
	}
}

// queue returns how many reviews there are.
func (w *world) queue(t *testing.T) int {
	t.Helper()
	var list []meta.Review
	err := w.meta.View(t.Context(), func(tx meta.Tx) (err error) {
		list, err = tx.DueReviews(w.clock().Add(1000*time.Hour), meta.Review{}, 1000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// files counts the content on the disk.
func (w *world) files(t *testing.T) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(w.dir, "blobs"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
