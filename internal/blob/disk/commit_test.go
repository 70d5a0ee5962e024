package disk

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

// steps are the syncs and renames of a store, in the order in which they began.
type steps struct {
	mu   sync.Mutex
	done []string
}

func (r *steps) add(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, step)
}

// record lets r have the steps of s. Files are named from the store's directory.
func (r *steps) record(s *Store) {
	ops, dir := s.ops, filepath.Dir(s.blobs)+"/"
	s.ops.sync = func(f *os.File) error {
		r.add("sync " + strings.TrimPrefix(f.Name(), dir))
		return ops.sync(f)
	}
	s.ops.rename = func(from, to string) error {
		r.add("rename " + strings.TrimPrefix(from, dir))
		return ops.rename(from, to)
	}
}

// take returns what was recorded; the last n steps, which may come in any order,
// are sorted.
func (r *steps) take(n int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.done
	r.done = nil
	slices.Sort(done[max(0, len(done)-n):])
	return done
}

func TestStepsOfACommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	var r steps
	r.record(s)
	put := func(text string) {
		u := begin(t, s, blob.State{ID: "a", Algorithm: oci.SHA256})
		add(t, u, []byte(text))
		add(t, u, nil)
		u = begin(t, s, pause(t, u))
		if err := u.Commit(t.Context(), oci.SHA256.FromString(text)); err != nil {
			t.Fatal(err)
		}
	}
	again := []string{"sync uploads/a", "rename uploads/a", "sync blobs/sha256/ed"}
	tests := []struct {
		name    string
		text    string
		atOnce  int  // so many of the last steps
		restart bool // before it
		want    []string
	}{
		{"first of its shard", "content", 2, false, []string{"sync blobs/sha256", "rename uploads/a", "sync blobs/sha256/ed", "sync uploads/a"}},
		{"new", "content 177", 2, false, []string{"rename uploads/a", "sync blobs/sha256/ed", "sync uploads/a"}},
		{"again", "content", 0, false, again},
		{"again in a new process", "content", 0, true, again},
		{"new in a new process", "content 182", 2, true, []string{"rename uploads/a", "sync blobs/sha256/ed", "sync uploads/a"}},
	}
	for _, tt := range tests {
		if tt.restart {
			s = openStore(t, dir)
			r.record(s)
		}
		put(tt.text)
		if diff := cmp.Diff(tt.want, r.take(tt.atOnce)); diff != "" {
			t.Errorf("%s: steps (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestSyncsOfNewContentRunAtOnce lets each of the two wait for the other.
func TestSyncsOfNewContentRunAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	content := []byte("content")
	d := oci.SHA256.FromBytes(content)
	if err := s.makeShard(s.shardDir(d)); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Add(2)
	met := make(chan struct{})
	go func() {
		defer close(met)
		both.Wait()
	}()
	s.ops.sync = func(f *os.File) error {
		both.Done()
		select {
		case <-met:
		case <-time.After(tooLong):
			t.Errorf("the sync of %s is alone", f.Name())
		}
		return f.Sync()
	}
	wantBlob(t, s, blobtest.Put(t, s, content), content)
}

// TestDirectoryIsOpenBeforeTheRename: who opens it later may not be told of a write
// that failed.
func TestDirectoryIsOpenBeforeTheRename(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for range 2 { // new, and again
		opened := 0
		s.ops.rename = func(from, to string) error {
			opened = openFiles(t, filepath.Dir(to))
			return os.Rename(from, to)
		}
		blobtest.Put(t, s, []byte("content"))
		if opened != 1 {
			t.Errorf("the directory is open %d times when its entry changes", opened)
		}
	}
}
