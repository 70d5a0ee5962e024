// Package blobtest is the contract of blob.Store as a test suite. Every back
// end runs it, so that the registry can rely on what the contract says.
package blobtest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// Open returns an empty store for one test and releases it by t.Cleanup.
type Open func(t testing.TB) blob.Store

// Run tests a store against the contract of blob.Store. The tests run at once,
// each on a store of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	groups := []struct {
		name  string
		tests []test
	}{
		{"content", contentTests()},
		{"upload", uploadTests()},
		{"resume", resumeTests()},
		{"listing", listingTests()},
		{"at once", concurrencyTests()},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, tt := range g.tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					tt.run(t, open(t))
				})
			}
		})
	}
}

// test is one behaviour that the contract promises.
type test struct {
	name string
	run  func(t *testing.T, s blob.Store)
}

// Content returns size bytes that look random and are the same for the same
// seed.
func Content(seed uint64, size int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, size)
	_, _ = mathrand.NewChaCha8(key).Read(b) // never fails
	return b
}

// NewState returns the state of a new upload with an ID of its own.
func NewState(a oci.Algorithm) blob.State {
	return blob.State{ID: rand.Text(), Algorithm: a}
}

// Put stores content under its sha256 digest.
func Put(t testing.TB, s blob.Store, content []byte) oci.Digest {
	t.Helper()
	d := oci.SHA256.FromBytes(content)
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, content)
	if err := u.Commit(t.Context(), d); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return d
}

// begin opens an upload.
func begin(t testing.TB, s blob.Store, st blob.State) blob.Upload {
	t.Helper()
	u, err := s.Upload(t.Context(), st)
	if err != nil {
		t.Fatalf("Upload at offset %d: %v", st.Offset, err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return u
}

// add appends all of content.
func add(t testing.TB, u blob.Upload, content []byte) {
	t.Helper()
	n, err := u.Append(t.Context(), bytes.NewReader(content))
	if err != nil || n != int64(len(content)) {
		t.Fatalf("Append took %d of %d bytes: %v", n, len(content), err)
	}
}

// pause saves the state of u and closes it.
func pause(t testing.TB, u blob.Upload) blob.State {
	t.Helper()
	st, err := u.State()
	if err != nil {
		t.Fatalf("State: %v", err)
	}
	if err := u.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return st
}

// commitAs commits u and checks that want is what is stored then.
func commitAs(t testing.TB, s blob.Store, u blob.Upload, d oci.Digest, want []byte) {
	t.Helper()
	if err := u.Commit(t.Context(), d); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantContent(t, s, d, want)
}

// wantContent checks that d is stored with these bytes.
func wantContent(t testing.TB, s blob.Store, d oci.Digest, want []byte) {
	t.Helper()
	r, size, err := s.Open(t.Context(), d)
	if err != nil {
		t.Errorf("Open: %v", err)
		return
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil || size != int64(len(want)) || !bytes.Equal(got, want) {
		t.Errorf("Open gave %d bytes and says %d (error %v), want the %d bytes stored", len(got), size, err, len(want))
	}
	if size, err := s.Stat(t.Context(), d); err != nil || size != int64(len(want)) {
		t.Errorf("Stat = %d, %v, want %d", size, err, len(want))
	}
}

// wantAbsent checks that d is not stored.
func wantAbsent(t testing.TB, s blob.Store, d oci.Digest) {
	t.Helper()
	if r, _, err := s.Open(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open: %v, want ErrNotFound", err)
		if err == nil {
			_ = r.Close()
		}
	}
	if _, err := s.Stat(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat: %v, want ErrNotFound", err)
	}
}

// wantStored checks that what All yields is want, digest to size in bytes.
func wantStored(t testing.TB, s blob.Store, want map[oci.Digest]int64) {
	t.Helper()
	got := map[oci.Digest]int64{}
	for info, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		if _, again := got[info.Digest]; again {
			t.Errorf("All yields %s twice", info.Digest)
		}
		got[info.Digest] = info.Size
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
}
