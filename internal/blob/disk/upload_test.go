package disk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

// begin opens an upload and closes it with the test.
func begin(t testing.TB, s *Store, st blob.State) *upload {
	t.Helper()
	u, err := s.Upload(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	return u.(*upload)
}

func add(t testing.TB, u *upload, content []byte) {
	t.Helper()
	if n, err := u.Append(t.Context(), bytes.NewReader(content)); err != nil || n != int64(len(content)) {
		t.Fatalf("Append took %d of %d bytes: %v", n, len(content), err)
	}
}

// pause saves the state of u and closes it.
func pause(t testing.TB, u *upload) blob.State {
	t.Helper()
	st, err := u.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	return st
}

func wantBlob(t testing.TB, s *Store, d oci.Digest, want []byte) {
	t.Helper()
	got, err := os.ReadFile(s.blobPath(d))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("stored are %d bytes, %v, want the %d bytes of %s", len(got), err, len(want), d)
	}
}

// TestResumeWithDamagedFile damages the file of an upload between two
// requests, and resumes in the same process or in a new one.
func TestResumeWithDamagedFile(t *testing.T) {
	t.Parallel()
	content := blobtest.Content(1, 700<<10)
	tests := []struct {
		name       string
		damage     func(path string) error
		process    error // in the same process
		newProcess error
	}{
		{"untouched", func(string) error { return nil }, nil, nil},
		{"longer", func(path string) error { return os.Truncate(path, 900<<10) }, nil, nil},
		{"shorter", func(path string) error { return os.Truncate(path, 600<<10) }, blob.ErrNotFound, blob.ErrNotFound},
		{"gone", os.Remove, blob.ErrNotFound, blob.ErrNotFound},
		{"read-only", func(path string) error { return os.Chmod(path, blobMode) }, nil, nil},
		// A machine that stopped may leave zeros where data was not written.
		{"zeros", func(path string) error {
			return errors.Join(os.Truncate(path, 600<<10), os.Truncate(path, 700<<10))
		}, nil, blob.ErrNotFound},
	}
	for _, tt := range tests {
		for _, restart := range []bool{false, true} {
			name, want := tt.name+" in the same process", tt.process
			if restart {
				name, want = tt.name+" in a new process", tt.newProcess
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				s := openStore(t, dir)
				u := begin(t, s, blobtest.NewState(oci.SHA256))
				add(t, u, content)
				st := pause(t, u)
				if err := tt.damage(s.uploadPath(st.ID)); err != nil {
					t.Fatal(err)
				}
				if restart {
					s = openStore(t, dir)
				}
				resumed, err := s.Upload(t.Context(), st)
				if !errors.Is(err, want) {
					t.Fatalf("Upload: %v, want %v", err, want)
				}
				if want != nil || tt.name == "zeros" {
					return
				}
				add(t, resumed.(*upload), []byte("the end"))
				whole := append(bytes.Clone(content), "the end"...)
				if err := resumed.Commit(t.Context(), oci.SHA256.FromBytes(whole)); err != nil {
					t.Fatal(err)
				}
				wantBlob(t, s, oci.SHA256.FromBytes(whole), whole)
			})
		}
	}
}

func TestResumeRefusesADamagedHashState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	u := begin(t, s, blobtest.NewState(oci.SHA256))
	add(t, u, []byte("content"))
	st := pause(t, u)
	for name, hash := range map[string][]byte{"none": nil, "short": st.Hash[:10], "other algorithm": bytes.Repeat([]byte{1}, 204)} {
		damaged := st
		damaged.Hash = hash
		for _, s := range []*Store{s, openStore(t, dir)} {
			if _, err := s.Upload(t.Context(), damaged); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("hash state %s: %v, want ErrNotFound", name, err)
			}
		}
	}
	if _, err := s.Upload(t.Context(), blob.State{ID: st.ID, Algorithm: oci.SHA256, Offset: -1}); err == nil {
		t.Error("an offset below 0 gave no error")
	}
}

func TestResumeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u := begin(t, openStore(t, dir), blobtest.NewState(oci.SHA256))
	add(t, u, []byte("content"))
	st := pause(t, u)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := openStore(t, dir)
	if _, err := s.Upload(ctx, st); !errors.Is(err, context.Canceled) {
		t.Errorf("Upload: %v, want context.Canceled", err)
	}
	add(t, begin(t, s, st), []byte("more")) // a canceled try loses nothing
}

// TestTakeover is a caller whose lease fails: two writers have one upload.
func TestTakeover(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		next func(st blob.State) blob.State // what the second writer starts from
		want string                         // what the second writer commits
	}{
		{"by one that goes on", func(st blob.State) blob.State { return st }, "content, the second"},
		{"by one that begins anew", func(st blob.State) blob.State {
			return blob.State{ID: st.ID, Algorithm: st.Algorithm}
		}, ", the second"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			first := begin(t, s, blobtest.NewState(oci.SHA256))
			add(t, first, []byte("content"))
			st, err := first.State()
			if err != nil {
				t.Fatal(err)
			}
			second := begin(t, s, tt.next(st))
			wantTaken(t, first)
			add(t, second, []byte(", the second"))
			if err := second.Commit(t.Context(), oci.SHA256.FromString(tt.want)); err != nil {
				t.Fatal(err)
			}
			wantBlob(t, s, oci.SHA256.FromString(tt.want), []byte(tt.want))
		})
	}
}

// wantTaken checks that u, which holds "content", can do nothing any more.
func wantTaken(t *testing.T, u *upload) {
	t.Helper()
	n, err := u.Append(t.Context(), strings.NewReader("late"))
	if n != 0 || !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Append took %d bytes, %v, want ErrNotFound", n, err)
	}
	if err := u.write([]byte("late")); !errors.Is(err, errTaken) { // was in the middle of Append
		t.Errorf("write: %v", err)
	}
	if err := u.Commit(t.Context(), oci.SHA256.FromString("content")); !errors.Is(err, errTaken) {
		t.Errorf("Commit: %v", err)
	}
	if err := u.Cancel(t.Context()); !errors.Is(err, errTaken) {
		t.Errorf("Cancel: %v", err)
	}
	if err := u.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestOpenUploadsAreNotAbandoned(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	u := begin(t, s, blobtest.NewState(oci.SHA256))
	count := func() (n int) {
		for _, err := range s.Abandoned(t.Context(), s.now().AddDate(1, 0, 0)) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if n := count(); n != 0 {
		t.Errorf("%d abandoned while it is open, want 0", n)
	}
	pause(t, u)
	if n := count(); n != 1 {
		t.Errorf("%d abandoned after Close, want 1", n)
	}
	if len(s.open) != 0 {
		t.Errorf("%d uploads are still remembered", len(s.open))
	}
}

// TestNewUploadHasAFileOfItsOwn keeps writers apart that stopping the earlier
// one cannot reach: those of another process.
func TestNewUploadHasAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var files []os.FileInfo
	for range 2 {
		u := begin(t, s, blob.State{ID: "same", Algorithm: oci.SHA256})
		info, err := u.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, info)
	}
	if os.SameFile(files[0], files[1]) {
		t.Error("both uploads write to one file")
	}
}

// TestCommitCutsTheFile is a write that failed, and the cut after it too.
func TestCommitCutsTheFile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	u := begin(t, s, blobtest.NewState(oci.SHA256))
	add(t, u, []byte("content"))
	if _, err := u.file.WriteAt([]byte("rest of a failed write"), u.offset); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(t.Context(), oci.SHA256.FromString("content")); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, oci.SHA256.FromString("content"), []byte("content"))
}
