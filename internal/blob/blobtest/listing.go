package blobtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// far is long after everything that a test does. Clocks of stores may differ
// from ours.
const far = time.Hour

func listingTests() []test {
	return []test{
		{"an empty store lists nothing", testEmpty},
		{"all content is listed with size and time", testAll},
		{"the caller may stop listing", testStop},
		{"listing ends with the context", testListCanceled},
		{"unfinished uploads are found by their age", testAbandoned},
		{"abandoned uploads can be removed by ID", testRemoveAbandoned},
	}
}

// wantUploads checks that these IDs, and no others, had no write since the
// given time from now.
func wantUploads(t testing.TB, s blob.Store, fromNow time.Duration, want ...string) {
	t.Helper()
	var got []string
	for id, err := range s.Abandoned(t.Context(), time.Now().Add(fromNow)) {
		if err != nil {
			t.Fatalf("Abandoned: %v", err)
		}
		got = append(got, id)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Abandoned (-want +got):\n%s", diff)
	}
}

func testEmpty(t *testing.T, s blob.Store) {
	wantStored(t, s, map[oci.Digest]int64{})
	wantUploads(t, s, far)
}

func testAll(t *testing.T, s blob.Store) {
	want := map[oci.Digest]int64{}
	for i := range 40 {
		want[Put(t, s, Content(uint64(i), i))] = int64(i)
	}
	u := begin(t, s, NewState(oci.SHA512))
	add(t, u, []byte("unfinished"))
	wantStored(t, s, want)
	if err := u.Commit(t.Context(), oci.SHA512.FromString("unfinished")); err != nil {
		t.Fatal(err)
	}
	want[oci.SHA512.FromString("unfinished")] = 10
	wantStored(t, s, want)
	for info, err := range s.All(t.Context()) {
		if err != nil || time.Since(info.Stored).Abs() > far {
			t.Errorf("%s was stored at %v, %v; want about now", info.Digest, info.Stored, err)
		}
	}
}

func testStop(t *testing.T, s blob.Store) {
	for i := range 5 {
		Put(t, s, Content(uint64(i), 10))
		pause(t, begin(t, s, NewState(oci.SHA256)))
	}
	n := 0
	for _, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	for _, err := range s.Abandoned(t.Context(), time.Now().Add(far)) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 4 {
			break
		}
	}
	if n != 4 {
		t.Errorf("listed %d times, want 2 blobs and 2 uploads", n)
	}
}

func testListCanceled(t *testing.T, s blob.Store) {
	for i := range 3 {
		Put(t, s, Content(uint64(i), 10))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for _, err := range s.All(ctx) {
		n++
		if !errors.Is(err, context.Canceled) {
			t.Errorf("All: %v, want context.Canceled", err)
		}
	}
	if n != 1 {
		t.Errorf("All went on %d times after its context ended, want 1 time", n)
	}
}

func testAbandoned(t *testing.T, s blob.Store) {
	empty, some := NewState(oci.SHA256), NewState(oci.SHA512)
	pause(t, begin(t, s, empty))
	u := begin(t, s, some)
	add(t, u, []byte("content"))
	pause(t, u)
	Put(t, s, []byte("finished"))
	u = begin(t, s, NewState(oci.SHA256))
	if err := u.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantUploads(t, s, far, empty.ID, some.ID)
	wantUploads(t, s, -far)
}

func testRemoveAbandoned(t *testing.T, s blob.Store) {
	u := begin(t, s, NewState(oci.SHA256))
	add(t, u, Content(1, 1000))
	st := pause(t, u)
	for id, err := range s.Abandoned(t.Context(), time.Now().Add(far)) {
		if err != nil {
			t.Fatal(err)
		}
		u := begin(t, s, blob.State{ID: id, Algorithm: oci.SHA256})
		if err := u.Cancel(t.Context()); err != nil {
			t.Fatalf("Cancel: %v", err)
		}
	}
	wantUploads(t, s, far)
	if _, err := s.Upload(t.Context(), st); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Upload of the removed one: %v, want ErrNotFound", err)
	}
}
