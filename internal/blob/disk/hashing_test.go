package disk

import (
	"bytes"
	"testing"

	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

// Large pushes take turns at hashing; a small one is not among them.
func TestSmallPushDoesNotWaitForLargeOnes(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	for range cap(s.hashers) { // others are hashing
		s.hashers <- struct{}{}
	}
	large := begin(t, s, blobtest.NewState(oci.SHA256))
	content := blobtest.Content(1, 2*len(buffer{}))
	done := make(chan error, 1)
	go func() {
		_, err := large.Append(t.Context(), bytes.NewReader(content))
		done <- err
	}()
	blobtest.Put(t, s, []byte("small"))
	select {
	case err := <-done:
		t.Fatalf("the large one did not wait for its turn: %v", err)
	default:
	}
	for range cap(s.hashers) {
		<-s.hashers
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := large.Commit(t.Context(), oci.SHA256.FromBytes(content)); err != nil {
		t.Error(err)
	}
}
