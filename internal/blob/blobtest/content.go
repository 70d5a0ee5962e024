package blobtest

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// sizes are in bytes: around the blocks of the hashes (64 and 128), around the
// powers of two that buffers have, and around the 5 MiB parts of S3.
var sizes = []int{
	0, 1, 63, 64, 65, 128, 129, 64 << 10,
	256<<10 - 1, 256 << 10, 256<<10 + 1, 512 << 10, 768<<10 + 7, 1 << 20, 5<<20 + 3,
}

func contentTests() []test {
	tests := []test{
		{"what is not stored is not found", testNotFound},
		{"content can be read from any place", testSeek},
		{"content is deleted, and deleting again is no error", testDelete},
		{"opened content stays readable when it is deleted", testDeleteOpen},
		{"content can be stored again", testStoreAgain},
		{"content can be stored again after it was deleted", testStoreDeleted},
		{"one content is stored under digests of both algorithms", testBothDigests},
	}
	for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		for _, size := range sizes {
			tests = append(tests, test{fmt.Sprintf("%s of %d bytes comes back", a, size), func(t *testing.T, s blob.Store) {
				content := Content(1, size)
				u := begin(t, s, NewState(a))
				add(t, u, content)
				commitAs(t, s, u, a.FromBytes(content), content)
				wantStored(t, s, map[oci.Digest]int64{a.FromBytes(content): int64(size)})
			}})
		}
	}
	return tests
}

func testNotFound(t *testing.T, s blob.Store) {
	Put(t, s, Content(1, 10))
	wantAbsent(t, s, oci.SHA256.FromString("other"))
	wantAbsent(t, s, oci.SHA512.FromBytes(Content(1, 10)))
}

func testSeek(t *testing.T, s blob.Store) {
	content := Content(2, 300<<10)
	r, size, err := s.Open(t.Context(), Put(t, s, content))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, tt := range []struct {
		offset int64
		whence int
		from   int64 // where that is
	}{
		{7, io.SeekStart, 7},
		{-5, io.SeekEnd, size - 5},
		{0, io.SeekStart, 0},
		{0, io.SeekEnd, size},
		{-size, io.SeekCurrent, 0},
	} {
		at, err := r.Seek(tt.offset, tt.whence)
		if err != nil || at != tt.from {
			t.Fatalf("Seek(%d, %d) = %d, %v, want %d", tt.offset, tt.whence, at, err, tt.from)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content[tt.from:]) {
			t.Fatalf("after Seek(%d, %d): %d bytes, %v, want the last %d", tt.offset, tt.whence, len(got), err, size-tt.from)
		}
	}
}

func testDelete(t *testing.T, s blob.Store) {
	kept := Put(t, s, []byte("kept"))
	gone := Put(t, s, []byte("gone"))
	for range 2 {
		if err := s.Delete(t.Context(), gone); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		wantAbsent(t, s, gone)
	}
	wantContent(t, s, kept, []byte("kept"))
	wantStored(t, s, map[oci.Digest]int64{kept: 4})
}

func testDeleteOpen(t *testing.T, s blob.Store) {
	content := Content(3, 2<<20)
	d := Put(t, s, content)
	r, _, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	head := make([]byte, 100)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(head, rest...), content) {
		t.Errorf("%d bytes after the delete, %v; want the other %d", len(rest), err, len(content)-len(head))
	}
}

func testStoreAgain(t *testing.T, s blob.Store) {
	content := Content(4, 1000)
	d := Put(t, s, content)
	r, _, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	Put(t, s, content)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("what was open before gives %d bytes, %v", len(got), err)
	}
	wantContent(t, s, d, content)
	wantStored(t, s, map[oci.Digest]int64{d: 1000})
}

func testStoreDeleted(t *testing.T, s blob.Store) {
	content := Content(5, 1000)
	for range 2 {
		d := Put(t, s, content)
		wantContent(t, s, d, content)
		if err := s.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	wantStored(t, s, map[oci.Digest]int64{})
}

func testBothDigests(t *testing.T, s blob.Store) {
	content := Content(6, 100)
	d256, d512 := oci.SHA256.FromBytes(content), oci.SHA512.FromBytes(content)
	for _, d := range []oci.Digest{d256, d512} {
		u := begin(t, s, NewState(oci.SHA256))
		add(t, u, content)
		commitAs(t, s, u, d, content)
	}
	wantStored(t, s, map[oci.Digest]int64{d256: 100, d512: 100})
	if err := s.Delete(t.Context(), d256); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, d512, content)
}
