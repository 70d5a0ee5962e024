package hot_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

// firstRead is content that does something before its first byte is read.
type firstRead struct {
	io.ReadSeekCloser
	do func()
}

func (r *firstRead) Read(p []byte) (int, error) {
	if do := r.do; do != nil {
		r.do = nil
		do()
	}
	return r.ReadSeekCloser.Read(p)
}

// wantGone checks that d is not stored and not in memory.
func wantGone(t *testing.T, s blob.Store, d oci.Digest) {
	t.Helper()
	if got, inMemory := get(t, s, d); got != nil {
		t.Errorf("%q comes back, in memory: %v", got, inMemory)
	}
}

func TestWhatIsDeletedWhileItIsReadIsNotKept(t *testing.T) {
	t.Parallel()
	s, b := open(t)
	d := blobtest.Put(t, b, []byte("content"))
	b.opened = func(r io.ReadSeekCloser) io.ReadSeekCloser {
		return &firstRead{r, func() {
			if err := s.Delete(t.Context(), d); err != nil {
				t.Error(err)
			}
		}}
	}
	if got, _ := get(t, s, d); string(got) != "content" {
		t.Errorf("who had opened it reads %q", got)
	}
	wantGone(t, s, d)
}

func TestWhatIsReadWhileItIsDeletedIsNotKept(t *testing.T) {
	t.Parallel()
	s, b := open(t)
	d := blobtest.Put(t, s, []byte("content")) // kept, and so dropped first
	b.deleting = func() {
		for range 2 {
			if got, _ := get(t, s, d); string(got) != "content" {
				t.Errorf("while it is there: %q", got)
			}
		}
	}
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	wantGone(t, s, d)
	b.deleting = nil
	blobtest.Put(t, s, []byte("content"))
	if got, inMemory := get(t, s, d); string(got) != "content" || !inMemory {
		t.Errorf("pushed again: %q, in memory: %v", got, inMemory)
	}
}

// readAcross begins to read d when begin is called, and ends when end is: it has
// opened the content by then, and read nothing of it.
func readAcross(t *testing.T, s blob.Store, b *behind, d oci.Digest) (begin, end func()) {
	t.Helper()
	opened, ended, read := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b.opened = func(r io.ReadSeekCloser) io.ReadSeekCloser {
		close(opened)
		return &firstRead{r, func() { <-ended }}
	}
	begin = func() {
		go func() {
			defer close(read)
			if got, _ := get(t, s, d); string(got) != "content" {
				t.Errorf("who had opened it reads %q", got)
			}
		}()
		<-opened
	}
	end = func() {
		close(ended)
		<-read
		b.opened = nil
	}
	return begin, end
}

func TestWhatIsReadAcrossTheEndOfADelete(t *testing.T) {
	t.Parallel()
	s, b := open(t)
	d := blobtest.Put(t, b, []byte("content"))
	begin, end := readAcross(t, s, b, d)
	b.deleting = begin
	if err := s.Delete(t.Context(), d); err != nil {
		t.Error(err)
	}
	end()
	wantGone(t, s, d)
}

// A commit that fails may take away what could be seen for a moment.
func TestWhatIsReadBeforeACommitFailsIsNotKept(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} { // is it in memory?
		s, b := open(t)
		d := oci.SHA256.FromString("content")
		if before {
			blobtest.Put(t, s, []byte("content"))
		}
		failCommit(t, s, b, func() {
			if got, _ := get(t, s, d); string(got) != "content" {
				t.Errorf("while it is there: %q", got)
			}
		})
		wantGone(t, s, d)
	}
}

func TestWhatIsReadAcrossAFailedCommit(t *testing.T) {
	t.Parallel()
	s, b := open(t)
	d := oci.SHA256.FromString("content")
	begin, end := readAcross(t, s, b, d)
	failCommit(t, s, b, begin)
	end()
	wantGone(t, s, d)
}

// failCommit pushes "content", which is seen while during runs, and then gone.
func failCommit(t *testing.T, s blob.Store, b *behind, during func()) {
	t.Helper()
	broken := errors.New("broken disk")
	b.stored = func(d oci.Digest) error {
		during()
		return errors.Join(broken, os.Remove(b.path(d)))
	}
	u, err := s.Upload(t.Context(), blobtest.NewState(oci.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	if _, err := u.Append(t.Context(), strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(t.Context(), oci.SHA256.FromString("content")); !errors.Is(err, broken) {
		t.Errorf("Commit: %v", err)
	}
}

// Whoever claims a digest for other content costs others nothing.
func TestAPushThatDoesNotMatchDropsNothing(t *testing.T) {
	t.Parallel()
	s, b := open(t)
	d := blobtest.Put(t, s, []byte("content"))
	get(t, s, d)
	b.opened = func(r io.ReadSeekCloser) io.ReadSeekCloser { t.Error("it was dropped"); return r }
	u, err := s.Upload(t.Context(), blobtest.NewState(oci.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(t.Context(), d); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("Commit: %v", err)
	}
	if err := u.Cancel(t.Context()); err != nil {
		t.Error(err)
	}
	if got, inMemory := get(t, s, d); string(got) != "content" || !inMemory {
		t.Errorf("read %q, in memory: %v", got, inMemory)
	}
}
