package registry_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// fixture is a registry on real stores, with a clock that tests move.
type fixture struct {
	*registry.Registry
	dir  string
	meta *faultyMeta
	sql  func() (*sql.DB, error) // opens the database as it is

	mu  sync.Mutex
	now time.Time
}

func newFixture(t *testing.T, opts registry.Options) *fixture {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registry.db")
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixtureOn(t, store, opts)
	f.sql = func() (*sql.DB, error) { return sql.Open("sqlite", path) }
	return f
}

// newFixtureOn is newFixture with a store, which it closes when the test ends.
func newFixtureOn(t *testing.T, store meta.Store, opts registry.Options) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	blobs, err := disk.Open(disk.Config{Dir: f.dir})
	if err != nil {
		t.Fatal(err)
	}
	f.meta = &faultyMeta{Store: store}
	opts.Now = f.clock
	f.Registry = registry.New(blobs, f.meta, opts)
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// pass lets time pass.
func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// files returns the names of what is stored and of what is being uploaded.
func (f *fixture) files(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, below := range []string{"blobs", "uploads"} {
		err := filepath.WalkDir(filepath.Join(f.dir, below), func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, below+"/"+d.Name())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	return names
}

// faultyMeta is a metadata store that can fail to link blobs, and to know what was
// committed.
type faultyMeta struct {
	meta.Store
	linkErr error
	doubt   error // of updates that are relaxed
}

func (m *faultyMeta) UpdateRelaxed(ctx context.Context, fn func(meta.Tx) error) error {
	if m.doubt != nil {
		return m.doubt
	}
	return m.Store.UpdateRelaxed(ctx, fn)
}

func (m *faultyMeta) Update(ctx context.Context, fn func(meta.Tx) error) error {
	return m.Store.Update(ctx, func(tx meta.Tx) error { return fn(faultyTx{tx, m.linkErr}) })
}

type faultyTx struct {
	meta.Tx
	linkErr error
}

func (tx faultyTx) LinkBlob(repo string, d oci.Digest, size int64, now time.Time) error {
	if tx.linkErr != nil {
		return tx.linkErr
	}
	return tx.Tx.LinkBlob(repo, d, size, now)
}

// kindOf returns what a client is told about err; -1 if there is no error.
func kindOf(err error) oci.Kind {
	if err == nil {
		return -1
	}
	var known *oci.Error
	if errors.As(err, &known) {
		return known.Kind
	}
	return oci.Internal
}

// wantKind fails unless err is of that kind.
func wantKind(t *testing.T, what string, err error, kind oci.Kind) {
	t.Helper()
	if kindOf(err) != kind {
		t.Errorf("%s: the error is %v (kind %d), want kind %d", what, err, kindOf(err), kind)
	}
}

// push stores a blob in each of some repositories.
func (f *fixture) push(t *testing.T, text string, repos ...string) oci.Digest {
	t.Helper()
	d := oci.SHA256.FromString(text)
	for _, repo := range repos {
		if err := f.PushBlob(t.Context(), repo, d, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// read returns what a blob of a repository is.
func (f *fixture) read(t *testing.T, repo string, d oci.Digest) string {
	t.Helper()
	content, size, err := f.Blob(t.Context(), repo, d)
	if err != nil {
		t.Errorf("read %s of %s: %v", d, repo, err)
		return ""
	}
	defer content.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(content)
	if err != nil || int64(len(text)) != size {
		t.Errorf("read %s of %s: %d bytes of %d: %v", d, repo, len(text), size, err)
	}
	return string(text)
}

// guard answers err to the effects in denied, and keeps what it was asked.
type guard struct {
	denied map[registry.Effect]error
	asked  []registry.Effect
}

func (g *guard) ask(e registry.Effect) error {
	g.asked = append(g.asked, e)
	return g.denied[e]
}

// anything is a guard that lets everything happen.
func anything(registry.Effect) error { return nil }

// index is an image index of nothing, one of many.
func index(name string) []byte {
	return []byte(`{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[],"annotations":{"name":"` + name + `"}}`)
}

// put stores a manifest under tags.
func (f *fixture) put(t *testing.T, repo string, body []byte, tags ...string) oci.Digest {
	t.Helper()
	d := oci.SHA256.FromBytes(body)
	_, err := f.PutManifest(t.Context(), registry.ManifestPut{
		Repo: repo, Reference: oci.Reference{Digest: d}, Tags: tags, Body: body, Guard: anything,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// tags returns where the tags of a repository point.
func (f *fixture) tags(t *testing.T, repo string) map[string]oci.Digest {
	t.Helper()
	names, _, err := f.Tags(t.Context(), repo, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]oci.Digest{}
	for _, name := range names {
		m, err := f.Manifest(t.Context(), repo, oci.Reference{Tag: name})
		if err != nil {
			t.Fatal(err)
		}
		all[name] = m.Digest
	}
	return all
}
