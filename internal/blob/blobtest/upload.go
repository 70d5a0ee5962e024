package blobtest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

func uploadTests() []test {
	return []test{
		{"content comes in pieces", testPieces},
		{"readers may return little at a time", testSlowReaders},
		{"what came before an error of the reader is kept", testReaderFails},
		{"nothing is stored before the commit", testUncommitted},
		{"a digest that does not match stores nothing and ends nothing", testMismatch},
		{"bytes hashed by one algorithm are committed under another", testOtherAlgorithm},
		{"canceled uploads leave nothing", testCancel},
		{"closing after the end does nothing", testCloseAfterEnd},
		{"an ended upload takes nothing more", testEnded},
		{"an unknown algorithm is refused", testUnknownAlgorithm},
		{"an ID that could be a path is refused", testPathID},
	}
}

func testPieces(t *testing.T, s blob.Store) {
	content := Content(1, 3<<20)
	u := begin(t, s, NewState(oci.SHA256))
	cuts := []int{0, 0, 1, 64, 100, 64 << 10, 256<<10 + 64<<10, 2 << 20, 2 << 20, 3 << 20}
	for i := range cuts[1:] {
		add(t, u, content[cuts[i]:cuts[i+1]])
		st, err := u.State()
		if err != nil || st.Offset != int64(cuts[i+1]) {
			t.Fatalf("State says offset %d, %v, want %d", st.Offset, err, cuts[i+1])
		}
	}
	commitAs(t, s, u, oci.SHA256.FromBytes(content), content)
}

func testSlowReaders(t *testing.T, s blob.Store) {
	content := Content(2, 600<<10)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"half of what is asked": iotest.HalfReader,
		"data with the end":     iotest.DataErrReader,
		"4 KiB, as HTTP has it": func(r io.Reader) io.Reader { return atMost{r, 4 << 10} },
	} {
		u := begin(t, s, NewState(oci.SHA256))
		n, err := u.Append(t.Context(), wrap(bytes.NewReader(content)))
		if err != nil || n != int64(len(content)) {
			t.Fatalf("%s: Append took %d bytes, %v", name, n, err)
		}
		commitAs(t, s, u, oci.SHA256.FromBytes(content), content)
	}
}

// atMost reads n bytes at a time.
type atMost struct {
	r io.Reader
	n int
}

func (a atMost) Read(p []byte) (int, error) { return a.r.Read(p[:min(len(p), a.n)]) }

func testReaderFails(t *testing.T, s blob.Store) {
	broken := errors.New("connection lost")
	for _, before := range []int{0, 1, 1000, 256 << 10, 256<<10 + 1, 512 << 10, 1<<20 + 5} {
		content := Content(3, before+10)
		u := begin(t, s, NewState(oci.SHA256))
		n, err := u.Append(t.Context(), io.MultiReader(bytes.NewReader(content[:before]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || n != int64(before) {
			t.Fatalf("Append took %d bytes, %v; want %d and the error of the reader", n, err, before)
		}
		st := pause(t, u)
		if st.Offset != n {
			t.Fatalf("State says offset %d, want %d", st.Offset, n)
		}
		u = begin(t, s, st)
		add(t, u, content[n:])
		commitAs(t, s, u, oci.SHA256.FromBytes(content), content)
	}
}

func testUncommitted(t *testing.T, s blob.Store) {
	content := Content(4, 1000)
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, content)
	wantAbsent(t, s, oci.SHA256.FromBytes(content))
	pause(t, u)
	wantAbsent(t, s, oci.SHA256.FromBytes(content))
	wantStored(t, s, map[oci.Digest]int64{})
}

func testMismatch(t *testing.T, s blob.Store) {
	content := Content(5, 1000)
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, content[:500])
	for _, d := range []oci.Digest{
		oci.SHA256.FromBytes(content), oci.SHA512.FromBytes(content), oci.SHA256.FromString(""),
	} {
		if err := u.Commit(t.Context(), d); !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("Commit(%s): %v, want ErrMismatch", d, err)
		}
		wantAbsent(t, s, d)
	}
	add(t, u, content[500:])
	commitAs(t, s, u, oci.SHA256.FromBytes(content), content)
	wantStored(t, s, map[oci.Digest]int64{oci.SHA256.FromBytes(content): 1000})
}

func testOtherAlgorithm(t *testing.T, s blob.Store) {
	for _, size := range []int{0, 100, 700 << 10} {
		content := Content(6, size)
		u := begin(t, s, NewState(oci.SHA256))
		add(t, u, content)
		commitAs(t, s, u, oci.SHA512.FromBytes(content), content)
		wantAbsent(t, s, oci.SHA256.FromBytes(content))
		u = begin(t, s, NewState(oci.SHA512))
		add(t, u, content)
		commitAs(t, s, u, oci.SHA256.FromBytes(content), content)
		if err := s.Delete(t.Context(), oci.SHA256.FromBytes(content)); err != nil {
			t.Fatal(err)
		}
	}
}

func testCancel(t *testing.T, s blob.Store) {
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, Content(7, 1000))
	st, err := u.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Cancel(t.Context()); err != nil {
		t.Fatalf("Cancel: %v", err)
	}
	if _, err := s.Upload(t.Context(), st); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Upload after Cancel: %v, want ErrNotFound", err)
	}
	wantUploads(t, s, far)
	wantStored(t, s, map[oci.Digest]int64{})
}

func testCloseAfterEnd(t *testing.T, s blob.Store) {
	for name, end := range map[string]func(blob.Upload) error{
		"Commit": func(u blob.Upload) error { return u.Commit(t.Context(), oci.SHA256.FromString("content")) },
		"Cancel": func(u blob.Upload) error { return u.Cancel(t.Context()) },
		"Close":  blob.Upload.Close,
	} {
		u := begin(t, s, NewState(oci.SHA256))
		add(t, u, []byte("content"))
		if err := end(u); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := u.Close(); err != nil {
			t.Errorf("Close after %s: %v", name, err)
		}
	}
	wantContent(t, s, oci.SHA256.FromString("content"), []byte("content"))
}

func testEnded(t *testing.T, s blob.Store) {
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, []byte("content"))
	st := pause(t, u)
	if n, err := u.Append(t.Context(), strings.NewReader("more")); err == nil || n != 0 {
		t.Errorf("Append after Close took %d bytes, %v", n, err)
	}
	if _, err := u.State(); err == nil {
		t.Error("State after Close gave no error")
	}
	if err := u.Commit(t.Context(), oci.SHA256.FromString("content")); err == nil {
		t.Error("Commit after Close gave no error")
	}
	wantAbsent(t, s, oci.SHA256.FromString("content"))
	commitAs(t, s, begin(t, s, st), oci.SHA256.FromString("content"), []byte("content"))
}

func testUnknownAlgorithm(t *testing.T, s blob.Store) {
	for _, a := range []oci.Algorithm{"", "md5", "sha384"} {
		if u, err := s.Upload(t.Context(), NewState(a)); err == nil {
			t.Errorf("Upload with algorithm %q gave no error", a)
			_ = u.Cancel(t.Context())
		}
	}
}

func testPathID(t *testing.T, s blob.Store) {
	for _, id := range []string{
		"", ".", "..", "../blobs/x", "a/b", "/etc/x", `a\b`, "a.b", "a b", "a\x00", "ä", "a\n", strings.Repeat("a", 300),
	} {
		for _, offset := range []int64{0, 5} {
			u, err := s.Upload(t.Context(), blob.State{ID: id, Algorithm: oci.SHA256, Offset: offset})
			if err == nil {
				t.Errorf("Upload %q at offset %d gave no error", id, offset)
				_ = u.Cancel(t.Context())
			}
		}
	}
	wantUploads(t, s, far)
}
