package blobtest

import (
	"errors"
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

func resumeTests() []test {
	return []test{
		{"an upload goes on from its state", testResume},
		{"the state carries ID, algorithm and offset", testState},
		{"an upload with nothing in it goes on", testResumeEmpty},
		{"an older state drops what came after it", testOlderState},
		{"a new upload drops what one with its ID left", testSameID},
		{"a new upload with the ID of a committed one is new", testReusedID},
		{"a resumed upload is committed under another algorithm", testResumeOther},
		{"a state without its bytes is not found", testLostBytes},
		{"uploads do not touch each other", testTwoUploads},
	}
}

// testResume stops in the middle of blocks, parts and buffers.
func testResume(t *testing.T, s blob.Store) {
	content := Content(1, 6<<20)
	for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		st := NewState(a)
		cuts := []int{0, 1, 77, 77, 256 << 10, 300 << 10, 5<<20 + 1, 6 << 20}
		for i := range cuts[1:] {
			u := begin(t, s, st)
			add(t, u, content[cuts[i]:cuts[i+1]])
			st = pause(t, u)
		}
		commitAs(t, s, begin(t, s, st), a.FromBytes(content), content)
	}
}

func testState(t *testing.T, s blob.Store) {
	for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		want := NewState(a)
		u := begin(t, s, want)
		got, err := u.State()
		if err != nil || got.ID != want.ID || got.Algorithm != a || got.Offset != 0 || got.Hash != nil {
			t.Errorf("State of an empty upload = %+v, %v", got, err)
		}
		add(t, u, []byte("12345"))
		got = pause(t, u)
		if got.ID != want.ID || got.Algorithm != a || got.Offset != 5 || len(got.Hash) == 0 {
			t.Errorf("State after 5 bytes = %+v", got)
		}
	}
}

func testResumeEmpty(t *testing.T, s blob.Store) {
	u := begin(t, s, pause(t, begin(t, s, NewState(oci.SHA256))))
	add(t, u, []byte("content"))
	commitAs(t, s, u, oci.SHA256.FromString("content"), []byte("content"))
}

// testOlderState is a process that ends after it took bytes and before it
// saved the state.
func testOlderState(t *testing.T, s blob.Store) {
	content := Content(2, 600<<10)
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, content[:1000])
	st, err := u.State()
	if err != nil {
		t.Fatal(err)
	}
	add(t, u, Content(3, 700<<10)) // lost to the caller
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	u = begin(t, s, st)
	add(t, u, content[1000:])
	commitAs(t, s, u, oci.SHA256.FromBytes(content), content)
}

func testSameID(t *testing.T, s blob.Store) {
	st := NewState(oci.SHA256)
	u := begin(t, s, st)
	add(t, u, Content(4, 600<<10))
	pause(t, u)
	u = begin(t, s, st)
	add(t, u, []byte("content"))
	commitAs(t, s, u, oci.SHA256.FromString("content"), []byte("content"))
	wantUploads(t, s, far)
}

func testReusedID(t *testing.T, s blob.Store) {
	st := NewState(oci.SHA256)
	for _, content := range []string{"one", "two", ""} {
		u := begin(t, s, st)
		add(t, u, []byte(content))
		commitAs(t, s, u, oci.SHA256.FromString(content), []byte(content))
	}
	wantContent(t, s, oci.SHA256.FromString("one"), []byte("one"))
}

func testResumeOther(t *testing.T, s blob.Store) {
	content := Content(5, 600<<10)
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, content[:100])
	u = begin(t, s, pause(t, u))
	add(t, u, content[100:])
	u = begin(t, s, pause(t, u))
	commitAs(t, s, u, oci.SHA512.FromBytes(content), content)
}

func testLostBytes(t *testing.T, s blob.Store) {
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, []byte("content"))
	st, err := u.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(t.Context(), oci.SHA256.FromString("content")); err != nil {
		t.Fatal(err)
	}
	never := st
	never.ID = NewState(oci.SHA256).ID
	for name, st := range map[string]blob.State{"committed": st, "never begun": never} {
		if _, err := s.Upload(t.Context(), st); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Upload of one that was %s: %v, want ErrNotFound", name, err)
		}
	}
	wantUploads(t, s, far)
}

func testTwoUploads(t *testing.T, s blob.Store) {
	a, b := begin(t, s, NewState(oci.SHA256)), begin(t, s, NewState(oci.SHA256))
	for range 3 {
		add(t, a, []byte("a"))
		add(t, b, []byte("bb"))
	}
	commitAs(t, s, a, oci.SHA256.FromString("aaa"), []byte("aaa"))
	commitAs(t, s, b, oci.SHA256.FromString("bbbbbb"), []byte("bbbbbb"))
}
