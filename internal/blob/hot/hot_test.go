package hot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/blob/hot"
	"github.com/moorgate/moorgate/internal/oci"
)

// behind is a store on the disk that calls its hooks, those that are not nil.
type behind struct {
	*disk.Store
	dir string

	opened   func(io.ReadSeekCloser) io.ReadSeekCloser // what Open is about to return
	deleting func()                                    // before content goes
	stored   func(oci.Digest) error                    // between storing and the answer
}

func (b *behind) Open(ctx context.Context, d oci.Digest) (io.ReadSeekCloser, int64, error) {
	r, size, err := b.Store.Open(ctx, d)
	if err == nil && b.opened != nil {
		r = b.opened(r)
	}
	return r, size, err
}

func (b *behind) Delete(ctx context.Context, d oci.Digest) error {
	if b.deleting != nil {
		b.deleting()
	}
	return b.Store.Delete(ctx, d)
}

func (b *behind) Upload(ctx context.Context, st blob.State) (blob.Upload, error) {
	u, err := b.Store.Upload(ctx, st)
	return &upload{u, b}, err
}

type upload struct {
	blob.Upload
	b *behind
}

func (u *upload) Commit(ctx context.Context, d oci.Digest) error {
	err := u.Upload.Commit(ctx, d)
	if err == nil && u.b.stored != nil {
		err = u.b.stored(d)
	}
	return err
}

// path is the file of d.
func (b *behind) path(d oci.Digest) string {
	return filepath.Join(b.dir, "blobs", string(d.Algorithm()), d.Encoded()[:2], d.Encoded())
}

func open(t testing.TB) (*hot.Store, *behind) {
	t.Helper()
	dir := t.TempDir()
	s, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b := &behind{Store: s, dir: dir}
	return hot.New(b), b
}

func TestContract(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t testing.TB) blob.Store { s, _ := open(t); return s })
}

func BenchmarkStore(b *testing.B) {
	blobtest.Benchmark(b, func(t testing.TB) blob.Store { s, _ := open(t); return s })
}

// get returns the content of d, and whether it came from memory; nil if it is not
// stored. It may be called on any goroutine.
func get(t *testing.T, s blob.Store, d oci.Digest) (content []byte, inMemory bool) {
	t.Helper()
	r, size, err := s.Open(t.Context(), d)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, false
	}
	if err != nil {
		t.Error(err)
		return nil, false
	}
	defer func() { _ = r.Close() }()
	content, err = io.ReadAll(r)
	if err != nil || int64(len(content)) != size {
		t.Errorf("%d of %d bytes are read, %v", len(content), size, err)
	}
	m, ok := r.(blob.InMemory)
	if ok && !bytes.Equal(m.Bytes(), content) {
		t.Errorf("Bytes has %d bytes, of other content", len(m.Bytes()))
	}
	return content, ok
}

func TestSmallContentIsKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		size     int
		inMemory bool
	}{{0, true}, {1, true}, {64 << 10, true}, {64<<10 + 1, false}} {
		for _, pushed := range []bool{true, false} { // here, or before the start
			s, b := open(t)
			content := blobtest.Content(1, tt.size)
			into := blob.Store(b)
			if pushed {
				into = s
			}
			d := blobtest.Put(t, into, content)
			opens := 0
			b.opened = func(r io.ReadSeekCloser) io.ReadSeekCloser { opens++; return r }
			for range 3 {
				if got, inMemory := get(t, s, d); !bytes.Equal(got, content) || inMemory != tt.inMemory {
					t.Errorf("%d bytes: %d are read, in memory: %v", tt.size, len(got), inMemory)
				}
			}
			want := 3 // what is not kept
			if tt.inMemory {
				want = 1
			}
			if opens != want {
				t.Errorf("%d bytes, pushed: %v: the store was asked %d times, want %d", tt.size, pushed, opens, want)
			}
		}
	}
}

// What is damaged comes as it is, from its beginning, until it is pushed again.
func TestDamagedContentIsNotKept(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{"CONTENT", "con", "", "contents"} {
		s, b := open(t)
		d := blobtest.Put(t, b, []byte("content")) // not through memory
		if err := errors.Join(os.Remove(b.path(d)), os.WriteFile(b.path(d), []byte(damage), 0o600)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, inMemory := get(t, s, d); string(got) != damage || inMemory {
				t.Errorf("damaged to %q: read %q, in memory: %v", damage, got, inMemory)
			}
		}
		blobtest.Put(t, s, []byte("content"))
		if got, inMemory := get(t, s, d); string(got) != "content" || !inMemory {
			t.Errorf("after %q was healed: read %q, in memory: %v", damage, got, inMemory)
		}
		if got, err := os.ReadFile(b.path(d)); string(got) != "content" {
			t.Errorf("after %q was healed: the file is %q, %v", damage, got, err)
		}
	}
}
