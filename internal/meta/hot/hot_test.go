package hot_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/hot"
	"github.com/moorgate/moorgate/internal/meta/metatest"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/oci"
)

// counted is a store that counts how often it was looked at.
type counted struct {
	meta.Store
	views atomic.Int64
}

func (c *counted) View(ctx context.Context, fn func(meta.Tx) error) error {
	c.views.Add(1)
	return c.Store.View(ctx, fn)
}

func open(t testing.TB) (*hot.Store, *counted) {
	t.Helper()
	behind, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: filepath.Join(t.TempDir(), "meta.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := behind.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &counted{Store: behind}
	return hot.New(c), c
}

func TestContract(t *testing.T) {
	t.Parallel()
	metatest.Run(t, func(t testing.TB) meta.Store { s, _ := open(t); return s })
}

const repo = "team/app"

// number is a manifest that says which one it is.
func number(n int64) meta.Manifest {
	body, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return meta.Manifest{Digest: oci.SHA256.FromBytes(body), MediaType: "application/json", Size: int64(len(body)), Body: body, PushedAt: time.Unix(n, 0)}
}

// push stores manifest n and moves the tag to it.
func push(tx meta.Tx, n int64) error {
	m := number(n)
	if err := tx.PutManifest(repo, m, nil); err != nil {
		return err
	}
	return tx.SetTag(repo, meta.Tag{Name: "latest", Digest: m.Digest, SetAt: time.Unix(n, 0)})
}

func update(t *testing.T, s meta.Store, fn func(meta.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// read returns the number of a manifest; -1 if there is none.
func read(t *testing.T, s *hot.Store, ref oci.Reference) int64 {
	m, err := s.ReadManifest(t.Context(), repo, ref)
	if err != nil {
		return -1
	}
	var n int64
	if err := json.Unmarshal(m.Body, &n); err != nil {
		t.Error(err)
	}
	return n
}

func TestWhatIsReadAgainIsRemembered(t *testing.T) {
	t.Parallel()
	s, behind := open(t)
	latest, one := oci.Reference{Tag: "latest"}, oci.Reference{Digest: number(1).Digest}
	update(t, s, func(tx meta.Tx) error { return push(tx, 1) })
	for _, step := range []struct {
		name  string
		do    func(meta.Tx) error
		tag   int64 // what the tag is then
		byOne int64 // what is under the digest of 1 then
	}{
		{"at first", nil, 1, 1},
		{"moved", func(tx meta.Tx) error { return push(tx, 2) }, 2, 1},
		{"moved back", func(tx meta.Tx) error { return push(tx, 1) }, 1, 1},
		{"untagged", func(tx meta.Tx) error { return tx.DeleteTag(repo, "latest", "", time.Unix(3, 0)) }, -1, 1},
		{"deleted", func(tx meta.Tx) error { return tx.DeleteManifest(repo, number(1).Digest) }, -1, -1},
		{"back", func(tx meta.Tx) error { return push(tx, 1) }, 1, 1},
	} {
		if step.do != nil {
			update(t, s, step.do)
		}
		for range 3 {
			if tag, byOne := read(t, s, latest), read(t, s, one); tag != step.tag || byOne != step.byOne {
				t.Errorf("%s: the tag is %d and the digest %d", step.name, tag, byOne)
			}
		}
	}
	before := behind.views.Load()
	for range 10 {
		read(t, s, latest)
		read(t, s, one)
	}
	if n := behind.views.Load() - before; n != 0 {
		t.Errorf("the store was looked at %d times", n)
	}
}

// Nothing of an update that fails is remembered, and nothing is lost.
func TestAnUpdateThatFails(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	update(t, s, func(tx meta.Tx) error { return push(tx, 1) })
	err := s.Update(t.Context(), func(tx meta.Tx) error {
		if err := push(tx, 2); err != nil {
			return err
		}
		if n := read(t, s, oci.Reference{Tag: "latest"}); n != 1 {
			t.Errorf("others see %d while it runs", n)
		}
		return meta.ErrNotFound
	})
	if n := read(t, s, oci.Reference{Tag: "latest"}); n != 1 || err == nil {
		t.Errorf("the tag is %d, %v", n, err)
	}
}

// Whoever reads after a push was acknowledged, or after somebody else has seen it,
// never sees what was before.
func TestReadersNeverGoBack(t *testing.T) {
	t.Parallel()
	const pushes = 300
	s, _ := open(t)
	update(t, s, func(tx meta.Tx) error { return push(tx, 0) })
	var seen atomic.Int64 // the highest that anybody has seen, or was told
	var all sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				least := seen.Load()
				n := read(t, s, oci.Reference{Tag: "latest"})
				if n < least {
					t.Errorf("read %d after %d was seen", n, least)
				}
				for old := least; n > old && !seen.CompareAndSwap(old, n); {
					old = seen.Load()
				}
			}
		})
	}
	for n := range int64(pushes) {
		if err := s.Update(t.Context(), func(tx meta.Tx) error { return push(tx, n) }); err != nil {
			t.Error(err)
		}
		for old := seen.Load(); n > old && !seen.CompareAndSwap(old, n); {
			old = seen.Load()
		}
	}
	close(done)
	all.Wait()
}

// blobSize returns the size of a blob that a repository holds; -1 if it does not.
func blobSize(t *testing.T, s *hot.Store, repo string, d oci.Digest) int64 {
	t.Helper()
	n, err := s.ReadBlobSize(t.Context(), repo, d)
	if errors.Is(err, meta.ErrNotFound) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// linked is a store in which repo and "other" hold blob 1, of 10 bytes, and repo
// also blob 2, of 20.
func linked(t *testing.T) (s *hot.Store, behind *counted, one, two oci.Digest) {
	t.Helper()
	s, behind = open(t)
	one, two = number(1).Digest, number(2).Digest
	if n := blobSize(t, s, repo, one); n != -1 {
		t.Errorf("before: %d", n)
	}
	update(t, s, func(tx meta.Tx) error {
		return errors.Join(tx.LinkBlob(repo, one, 10, time.Unix(1, 0)), tx.LinkBlob("other", one, 10, time.Unix(1, 0)))
	})
	if n := blobSize(t, s, repo, one); n != 10 { // what was not there is not remembered
		t.Errorf("linked: %d", n)
	}
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob(repo, two, 20, time.Unix(1, 0)) })
	return s, behind, one, two
}

func TestBlobsAreRememberedUntilTheyAreUnlinked(t *testing.T) {
	t.Parallel()
	s, behind, one, two := linked(t)
	before := behind.views.Load()
	for range 10 {
		if n := blobSize(t, s, repo, one); n != 10 {
			t.Errorf("again: %d", n)
		}
	}
	if n := behind.views.Load() - before; n != 0 {
		t.Errorf("the store was looked at %d times", n)
	}
	update(t, s, func(tx meta.Tx) error { return tx.UnlinkBlob(repo, one, time.Unix(1, 0)) })
	for range 2 {
		if a, b, c := blobSize(t, s, repo, one), blobSize(t, s, repo, two), blobSize(t, s, "other", one); a != -1 || b != 20 || c != 10 {
			t.Errorf("after an unlink: %d, %d and %d", a, b, c)
		}
	}
}

func TestAnUnlinkThatFails(t *testing.T) {
	t.Parallel()
	s, _, one, _ := linked(t)
	err := s.Update(t.Context(), func(tx meta.Tx) error {
		if err := tx.UnlinkBlob(repo, one, time.Unix(1, 0)); err != nil {
			return err
		}
		if n := blobSize(t, s, repo, one); n != 10 {
			t.Errorf("others see %d while it runs", n)
		}
		return meta.ErrNoSpace
	})
	if n := blobSize(t, s, repo, one); n != 10 || !errors.Is(err, meta.ErrNoSpace) {
		t.Errorf("after it: %d, %v", n, err)
	}
}
