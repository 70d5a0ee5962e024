package disk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

func TestAppendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	u := begin(t, newStore(t), blobtest.NewState(oci.SHA256))
	ctx, cancel := context.WithCancel(t.Context())
	endless := io.LimitReader(readerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	}), 64<<20) // enough to tell, and no full disk if it is not noticed
	n, err := u.Append(ctx, endless)
	if !errors.Is(err, context.Canceled) || n != int64(len(buffer{})) {
		t.Errorf("Append took %d bytes, %v; want one buffer and context.Canceled", n, err)
	}
	if st, err := u.State(); err != nil || st.Offset != n {
		t.Errorf("State says offset %d, %v, want %d", st.Offset, err, n)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestReaderPanics is net/http ending a handler in the middle of a body.
func TestReaderPanics(t *testing.T) {
	t.Parallel()
	for _, after := range []int{0, 1, 7} { // buffers
		u := begin(t, newStore(t), blobtest.NewState(oci.SHA256))
		content := blobtest.Content(1, after*len(buffer{}))
		r := bytes.NewReader(content)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = u.Append(t.Context(), readerFunc(func(p []byte) (int, error) {
				if r.Len() == 0 {
					panic("body")
				}
				return r.Read(p)
			}))
		}()
		add(t, u, []byte("more")) // offset, file and hash still agree
		content = append(content, "more"...)
		if err := u.Commit(t.Context(), oci.SHA256.FromBytes(content)); err != nil {
			t.Errorf("after %d buffers: %v", after, err)
		}
	}
}

// TestSmallBlobAllocatesLittle bounds what a push of a small blob costs beside
// the system calls. Buffers come from the pool.
func TestSmallBlobAllocatesLittle(t *testing.T) {
	s := newStore(t)
	s.ops.sync = func(*os.File) error { return nil }
	content := blobtest.Content(1, 4<<10)
	d := oci.SHA256.FromBytes(content)
	body := bytes.NewReader(nil)
	push := func() {
		u, err := s.Upload(t.Context(), blob.State{ID: "a", Algorithm: oci.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		body.Reset(content)
		if _, err := u.Append(t.Context(), body); err != nil {
			t.Fatal(err)
		}
		if err := u.Commit(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	// The race detector lets the pool lose buffers, so the median counts.
	const runs, maxAllocs, maxBytes = 41, 60, 8 << 10
	var allocs, sizes []uint64
	var before, after runtime.MemStats
	for range runs {
		runtime.ReadMemStats(&before)
		push()
		runtime.ReadMemStats(&after)
		allocs = append(allocs, after.Mallocs-before.Mallocs)
		sizes = append(sizes, after.TotalAlloc-before.TotalAlloc)
	}
	slices.Sort(allocs)
	slices.Sort(sizes)
	if a, n := allocs[runs/2], sizes[runs/2]; a > maxAllocs || n > maxBytes {
		t.Errorf("a push of 4 KiB made %d allocations of %d bytes, want at most %d of %d", a, n, maxAllocs, maxBytes)
	} else {
		t.Logf("%d allocations of %d bytes", a, n)
	}
}

// BenchmarkLargeAppend compares the overlapped form with the same bytes taken
// one after the other: read, write, hash.
func BenchmarkLargeAppend(b *testing.B) {
	content := blobtest.Content(1, 64<<20)
	for name, piece := range map[string]int{"overlapped": len(content), "serial": len(buffer{}) - 1} {
		b.Run(name, func(b *testing.B) {
			s := newStore(b)
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				u := begin(b, s, blob.State{ID: "a", Algorithm: oci.SHA256})
				for r := bytes.NewReader(content); r.Len() > 0; {
					if _, err := u.Append(b.Context(), io.LimitReader(r, int64(piece))); err != nil {
						b.Fatal(err)
					}
				}
				if err := u.Cancel(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
