package disk

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, dir, want string }{
		{"no directory given", "", "the directory of the blob store is not set"},
		{"missing", dir + "/none", "cannot use " + dir + "/none for blobs: the directory does not exist"},
		{"a file", file, "cannot use " + file + " for blobs: mkdir " + file + "/uploads: not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(Config{Dir: tt.dir})
			if err == nil || err.Error() != tt.want {
				t.Errorf("Open: %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLayout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	d := blobtest.Put(t, s, []byte("content"))
	u := begin(t, s, blob.State{ID: "unfinished", Algorithm: oci.SHA512})
	add(t, u, []byte("content"))

	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err == nil {
			got[strings.TrimPrefix(path, dir+"/")] = info.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{
		"blobs":                          fs.ModeDir | 0o700,
		"blobs/sha256":                   fs.ModeDir | 0o700,
		"blobs/sha512":                   fs.ModeDir | 0o700,
		"uploads":                        fs.ModeDir | 0o700,
		"uploads/unfinished":             0o600,
		"blobs/sha256/ed":                fs.ModeDir | 0o700,
		"blobs/sha256/ed/" + d.Encoded(): 0o444,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestContentIsAFile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r, _, err := s.Open(t.Context(), blobtest.Put(t, s, []byte("content")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("Open gave a %T, want an *os.File, which can be sent without copying", r)
	}
}

func TestWhatIsNoFileIsNoContent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := oci.SHA256.FromString("x")
	if err := os.MkdirAll(s.blobPath(d), dirMode); err != nil {
		t.Fatal(err)
	}
	if r, _, err := s.Open(t.Context(), d); err == nil {
		t.Error("Open of a directory gave no error")
		_ = r.Close()
	}
	if _, err := s.Stat(t.Context(), d); err == nil {
		t.Error("Stat of a directory gave no error")
	}
}

func TestCommitHealsDamagedContent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	content := []byte("content")
	d := blobtest.Put(t, s, content)
	path := s.blobPath(d)
	for _, damage := range []string{"CONTENT", "con", ""} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		blobtest.Put(t, s, content)
		wantBlob(t, s, d, content)
	}
}

func TestListingPassesOverForeignFiles(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := blobtest.Put(t, s, []byte("content"))
	hex := oci.SHA256.FromString("other").Encoded() // belongs to another shard
	for _, path := range []string{
		s.blobs + "/sha256/.probe", s.shardDir(d) + "/" + hex, s.shardDir(d) + "/README",
		s.shardDir(d) + "/" + strings.ToUpper(d.Encoded()), s.uploads + "/.probe", s.uploads + "/a.tmp",
	} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{s.uploads + "/lost", s.blobs + "/sha256/lost+found", s.shardDir(d) + "/" + strings.Repeat("0", 64)} {
		if err := os.Mkdir(path, dirMode); err != nil {
			t.Fatal(err)
		}
	}
	for info, err := range s.All(t.Context()) {
		if err != nil || info.Digest != d {
			t.Errorf("All yields %s, %v", info.Digest, err)
		}
	}
	for id, err := range s.Abandoned(t.Context(), time.Now().Add(time.Hour)) {
		t.Errorf("Abandoned yields %q, %v", id, err)
	}
}

// TestStoredIsTheTimeOfTheCommit matters to what removes content that nobody
// links to some time after it came.
func TestStoredIsTheTimeOfTheCommit(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s.now = func() time.Time { return at }
	blobtest.Put(t, s, []byte("content"))
	n := 0
	for info, err := range s.All(t.Context()) {
		n++
		if err != nil || !info.Stored.Equal(at) {
			t.Errorf("stored at %v, %v, want %v", info.Stored, err, at)
		}
	}
	if n != 1 {
		t.Errorf("All yields %d, want 1", n)
	}
}
