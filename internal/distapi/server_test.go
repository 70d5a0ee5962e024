package distapi_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/blob/disk"
	hotblob "github.com/moorgate/moorgate/internal/blob/hot"
	"github.com/moorgate/moorgate/internal/distapi"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/meta"
	hotmeta "github.com/moorgate/moorgate/internal/meta/hot"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/middleware"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// server is a registry with its doors, on real stores and a real port. Who is
// signed in may do everything.
type server struct {
	*httptest.Server
	dir  string // blobs/ and uploads/ are below it
	meta meta.Store
}

// newServer starts a server that ends with the test.
func newServer(t testing.TB, opts registry.Options) *server {
	t.Helper()
	s := &server{dir: t.TempDir()}
	h := s.open(t, opts)
	h.Login.Passwords, h.Policy = people{"alice": "wonderland", "mallory": "evil"}, access.SignedIn
	s.Server = httptest.NewServer(middleware.Chain(h,
		middleware.RequestID(), middleware.Client(nil), middleware.Idle(20*time.Second), middleware.Recover(h.Log)))
	t.Cleanup(s.Close)
	return s
}

// open opens the stores in s.dir, with what "moorgate serve" has in front of them,
// and returns a gate to a registry on them that lets everybody in.
func (s *server) open(t testing.TB, opts registry.Options) *gate.Gate {
	t.Helper()
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: filepath.Join(s.dir, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s.meta = hotmeta.New(store)
	blobs, err := disk.Open(disk.Config{Dir: s.dir})
	if err != nil {
		t.Fatal(err)
	}
	return &gate.Gate{
		Next:   &distapi.API{Registry: registry.New(hotblob.New(blobs), s.meta, opts)},
		Login:  &login.Desk{Audit: unrecorded},
		Policy: access.Open,
		Audit:  unrecorded,
		Log:    slog.New(slog.NewTextHandler(t.Output(), nil)),
		Now:    time.Now,
		Realm:  "test",
	}
}

func unrecorded(context.Context, audit.Record) {}

// people are users and their passwords.
type people map[string]string

func (p people) VerifyPassword(_ context.Context, user, password string) (access.Identity, error) {
	switch known, ok := p[user]; {
	case !ok:
		return access.Identity{}, authn.ErrNoMatch
	case known != password:
		return access.Identity{}, authn.ErrWrongPassword
	default:
		return access.Identity{User: user, Source: "test"}, nil
	}
}

// stored is all that a server keeps, as far as a client can have put it there.
type stored struct {
	Blobs    []string            // files below blobs/
	Uploads  []string            // files below uploads/
	Sessions []string            // IDs of upload sessions
	Holders  map[string][]string // by digest of a stored blob: the repositories that hold it
	Tags     map[string][]string // by repository with manifests
}

const everything = 100_000

// stored returns what the server keeps now.
func (s *server) stored(t testing.TB) stored {
	t.Helper()
	now := stored{
		Blobs: s.files(t, "blobs"), Uploads: s.files(t, "uploads"),
		Holders: map[string][]string{}, Tags: map[string][]string{},
	}
	err := s.meta.View(context.Background(), func(tx meta.Tx) error {
		sessions, err := tx.ExpiredUploads(time.Now().AddDate(100, 0, 0), everything)
		if err != nil {
			return err
		}
		for _, u := range sessions {
			now.Sessions = append(now.Sessions, u.State.ID)
		}
		slices.Sort(now.Sessions)
		for _, file := range now.Blobs {
			d := filepath.Base(filepath.Dir(filepath.Dir(file))) + ":" + filepath.Base(file)
			if now.Holders[d], err = tx.BlobHolders(oci.Digest(d), "", everything); err != nil {
				return err
			}
		}
		repos, err := tx.Catalog("", everything)
		if err != nil {
			return err
		}
		for _, repo := range repos {
			if now.Tags[repo], err = tx.TagNames(repo, "", everything); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// files returns the names of all files below a directory of the server.
func (s *server) files(t testing.TB, below string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(filepath.Join(s.dir, below), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(s.dir, name)
		names = append(names, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// plant writes a file where the content of a text would be, and returns its name.
func (s *server) plant(t testing.TB, text, file string) string {
	t.Helper()
	hex := oci.SHA256.FromString(text).Encoded()
	dir := filepath.Join(s.dir, "blobs", "sha256", hex[:2])
	name := filepath.Join(dir, hex)
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(name, []byte(file), 0o444)); err != nil {
		t.Fatal(err)
	}
	return name
}

// unchanged runs do and fails if the server keeps more or less afterwards.
func (s *server) unchanged(t testing.TB, do func()) {
	t.Helper()
	before := s.stored(t)
	do()
	if diff := cmp.Diff(before, s.stored(t)); diff != "" {
		t.Errorf("what the server keeps has changed (-before +after):\n%s", diff)
	}
}

// await waits until something holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	tooLong := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-tooLong:
			t.Fatalf("it does not come to pass that %s", what)
		}
	}
}
