package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

func concurrencyTests() []test {
	return []test{
		{"many store the same content", testSameContent},
		{"many store different content", testDifferentContent},
		{"content is read while it is replaced", testReadWhileReplaced(200 << 10)},
		{"small content is read while it is replaced", testReadWhileReplaced(200)},
		{"content is read while it is deleted and stored", testReadWhileDeleted(200 << 10)},
		{"small content is read while it is deleted and stored", testReadWhileDeleted(200)},
		{"listing goes on while content comes and goes", testListWhileChanging},
	}
}

// put stores content; it may be called on any goroutine.
func put(ctx context.Context, s blob.Store, content []byte) error {
	u, err := s.Upload(ctx, NewState(oci.SHA256))
	if err != nil {
		return err
	}
	defer func() { _ = u.Close() }()
	if _, err := u.Append(ctx, bytes.NewReader(content)); err != nil {
		return err
	}
	return u.Commit(ctx, oci.SHA256.FromBytes(content))
}

// get reads d and compares it with want.
func get(ctx context.Context, s blob.Store, d oci.Digest, want []byte) error {
	r, size, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if size != int64(len(want)) || !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes, size %d, of other content", len(got), size)
	}
	return nil
}

// wait ends the test if one of the goroutines failed.
func wait(t *testing.T, g *errgroup.Group) {
	t.Helper()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func testSameContent(t *testing.T, s blob.Store) {
	content := Content(1, 300<<10)
	g, ctx := errgroup.WithContext(t.Context())
	for range 16 {
		g.Go(func() error { return put(ctx, s, content) })
	}
	wait(t, g)
	d := oci.SHA256.FromBytes(content)
	wantContent(t, s, d, content)
	wantStored(t, s, map[oci.Digest]int64{d: 300 << 10})
	wantUploads(t, s, far)
}

func testDifferentContent(t *testing.T, s blob.Store) {
	const n = 16
	want := map[oci.Digest]int64{}
	g, ctx := errgroup.WithContext(t.Context())
	for i := range n {
		content := Content(uint64(i), 100<<10*i)
		want[oci.SHA256.FromBytes(content)] = int64(len(content))
		g.Go(func() error {
			if err := put(ctx, s, content); err != nil {
				return err
			}
			return get(ctx, s, oci.SHA256.FromBytes(content), content)
		})
	}
	wait(t, g)
	wantStored(t, s, want)
	wantUploads(t, s, far)
}

func testReadWhileReplaced(size int) func(*testing.T, blob.Store) {
	return func(t *testing.T, s blob.Store) {
		content := Content(2, size)
		d := Put(t, s, content)
		g, ctx := errgroup.WithContext(t.Context())
		for range 4 {
			g.Go(func() error {
				return repeat(5, func() error { return put(ctx, s, content) })
			})
			g.Go(func() error {
				return repeat(50, func() error { return get(ctx, s, d, content) })
			})
		}
		wait(t, g)
	}
}

// testReadWhileDeleted also looks after each Delete whether any reader brought
// the content back.
func testReadWhileDeleted(size int) func(*testing.T, blob.Store) {
	return func(t *testing.T, s blob.Store) {
		content := Content(3, size)
		d := Put(t, s, content)
		g, ctx := errgroup.WithContext(t.Context())
		g.Go(func() error { // one goroutine stands for meta.Store.LockBlob
			return repeat(10, func() error {
				if err := s.Delete(ctx, d); err != nil {
					return err
				}
				if err := gone(ctx, s, d, content); err != nil {
					return err
				}
				return put(ctx, s, content)
			})
		})
		for range 4 {
			g.Go(func() error {
				return repeat(50, func() error {
					if err := get(ctx, s, d, content); !errors.Is(err, blob.ErrNotFound) {
						return err
					}
					return nil
				})
			})
		}
		wait(t, g)
		wantContent(t, s, d, content)
	}
}

// gone fails if d, which was deleted, can be read.
func gone(ctx context.Context, s blob.Store, d oci.Digest, content []byte) error {
	for range 5 {
		if err := get(ctx, s, d, content); !errors.Is(err, blob.ErrNotFound) {
			return fmt.Errorf("what was deleted is read: %w", err)
		}
	}
	return nil
}

func testListWhileChanging(t *testing.T, s blob.Store) {
	stays := Put(t, s, []byte("stays"))
	comes := []byte("comes and goes")
	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() error {
		return repeat(20, func() error {
			return errors.Join(put(ctx, s, comes), s.Delete(ctx, oci.SHA256.FromBytes(comes)))
		})
	})
	g.Go(func() error {
		return repeat(20, func() error { return listed(ctx, s, stays) })
	})
	wait(t, g)
}

// listed fails if d is not among all content.
func listed(ctx context.Context, s blob.Store, d oci.Digest) error {
	found := false
	for info, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		found = found || info.Digest == d
	}
	if !found {
		return fmt.Errorf("%s was there all the time and is not listed", d)
	}
	return nil
}

// repeat calls f n times, or until it fails.
func repeat(n int, f func() error) error {
	for range n {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
