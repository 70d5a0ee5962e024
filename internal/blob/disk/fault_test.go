package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

// filesBelow returns the paths of all files in the store.
func filesBelow(t testing.TB, s *Store) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Dir(s.blobs), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// openFiles returns how many files below dir this process has open.
func openFiles(t testing.TB, dir string) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(fds) == 0 {
		t.Fatalf("cannot list open files: %v", err)
	}
	for _, fd := range fds {
		target, _ := os.Readlink(fd) // "" for the one that Glob had open
		if rel, err := filepath.Rel(dir, target); err == nil && filepath.IsLocal(rel) {
			n++
		}
	}
	return n
}

// faults are what a disk answers, and what the caller is told.
var faults = []struct {
	name string
	err  error
	want error
}{
	{"full disk", syscall.ENOSPC, blob.ErrNoSpace},
	{"used up quota", syscall.EDQUOT, blob.ErrNoSpace},
	{"broken disk", syscall.EIO, syscall.EIO},
}

// TestFailedWriteKeepsWhatWasTaken lets the write of one buffer fail half way.
func TestFailedWriteKeepsWhatWasTaken(t *testing.T) {
	t.Parallel()
	size := len(buffer{})
	content := blobtest.Content(1, 4*size+100)
	for _, fault := range faults {
		for _, failAt := range []int{0, 1, 3, 4} { // the last one is short
			t.Run(fault.name+" at buffer "+string(rune('0'+failAt)), func(t *testing.T) {
				t.Parallel()
				s := newStore(t)
				write, writes := s.ops.writeAt, 0
				s.ops.writeAt = func(f *os.File, p []byte, off int64) (int, error) {
					if writes++; writes != failAt+1 {
						return write(f, p, off)
					}
					n, err := write(f, p[:len(p)/2], off)
					return n, errors.Join(err, &fs.PathError{Op: "write", Path: f.Name(), Err: fault.err})
				}
				u := begin(t, s, blobtest.NewState(oci.SHA256))
				n, err := u.Append(t.Context(), bytes.NewReader(content))
				if !errors.Is(err, fault.want) || n != int64(failAt*size) {
					t.Fatalf("Append took %d bytes, %v; want %d and %v", n, err, failAt*size, fault.want)
				}
				if info, err := os.Stat(s.uploadPath(u.id)); err != nil || info.Size() != n {
					t.Errorf("the file has %d bytes, %v, want %d", info.Size(), err, n)
				}
				if failAt == 1 {
					u = begin(t, s, pause(t, u))
				}
				add(t, u, content[n:])
				if err := u.Commit(t.Context(), oci.SHA256.FromBytes(content)); err != nil {
					t.Fatal(err)
				}
				wantBlob(t, s, oci.SHA256.FromBytes(content), content)
			})
		}
	}
}

// TestFailedCommit lets each step of a commit fail. In no case anything is
// seen under the digest, or left on the disk.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	content := []byte("content")
	d := oci.SHA256.FromBytes(content)
	tests := []struct {
		name    string
		inject  func(s *Store, err error)
		goes    bool // the upload can be committed when the fault is over
		resumes bool // and also after Close and Upload
	}{
		{"sync of the file", func(s *Store, err error) { failSync(s, s.uploads, err) }, false, false},
		{"both syncs", func(s *Store, err error) {
			_ = s.makeShard(s.shardDir(d))
			s.ops.sync = func(*os.File) error { return err }
		}, false, false},
		{"sync of the algorithm's directory", func(s *Store, err error) { failSync(s, s.blobs, err) }, true, true},
		{"sync of the shard", func(s *Store, err error) { failSync(s, filepath.Dir(s.shardDir(d)), err) }, false, false},
		{"rename", func(s *Store, err error) {
			s.ops.rename = func(string, string) error { return err }
		}, true, true},
	}
	for _, tt := range tests {
		for _, fault := range faults {
			t.Run(fault.name+" at "+tt.name, func(t *testing.T) {
				t.Parallel()
				s := newStore(t)
				u := begin(t, s, blobtest.NewState(oci.SHA256))
				add(t, u, content)
				st, err := u.State()
				if err != nil {
					t.Fatal(err)
				}
				tt.inject(s, fault.err)
				if err := u.Commit(t.Context(), d); !errors.Is(err, fault.want) {
					t.Fatalf("Commit: %v, want %v", err, fault.want)
				}
				if _, err := s.Stat(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("Stat: %v, want ErrNotFound", err)
				}
				s.ops = systemOps()
				if err := u.Commit(t.Context(), d); (err == nil) != tt.goes {
					t.Errorf("Commit when the fault was over: %v", err)
				}
				if tt.goes {
					wantBlob(t, s, d, content)
					return
				}
				if err := u.Close(); err != nil {
					t.Error(err)
				}
				if _, err := s.Upload(t.Context(), st); !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("Upload: %v, want ErrNotFound", err)
				}
				if left := filesBelow(t, s); len(left) > 0 || openFiles(t, filepath.Dir(s.blobs)) > 0 {
					t.Errorf("left on the disk: %q, open: %d", left, openFiles(t, filepath.Dir(s.blobs)))
				}
				wantBlob(t, s, blobtest.Put(t, s, content), content)
			})
		}
	}
}

// failSync lets the sync of what is directly in dir fail.
func failSync(s *Store, dir string, err error) {
	sync := s.ops.sync
	s.ops.sync = func(f *os.File) error {
		if filepath.Dir(f.Name()) == dir {
			return err
		}
		return sync(f)
	}
}

func TestFailedRenameCanBeResumed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	u := begin(t, s, blobtest.NewState(oci.SHA256))
	add(t, u, []byte("con"))
	s.ops.rename = func(string, string) error { return syscall.ENOSPC }
	if err := u.Commit(t.Context(), oci.SHA256.FromString("con")); !errors.Is(err, blob.ErrNoSpace) {
		t.Fatalf("Commit: %v, want ErrNoSpace", err)
	}
	s.ops = systemOps()
	if info, err := os.Stat(s.uploadPath(u.id)); err != nil || info.Mode() != uploadMode {
		t.Errorf("the file is %v, %v, want %v", info.Mode(), err, uploadMode)
	}
	u = begin(t, s, pause(t, u))
	add(t, u, []byte("tent"))
	if err := u.Commit(t.Context(), oci.SHA256.FromString("content")); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, oci.SHA256.FromString("content"), []byte("content"))
}

func TestFailedCommitKeepsWhatWasStoredBefore(t *testing.T) {
	t.Parallel()
	content := []byte("content")
	for _, step := range []string{"file", "shard", "rename"} {
		s := newStore(t)
		d := blobtest.Put(t, s, content)
		switch step {
		case "file":
			failSync(s, s.uploads, syscall.EIO)
		case "shard":
			failSync(s, filepath.Dir(s.shardDir(d)), syscall.EIO)
		case "rename":
			s.ops.rename = func(string, string) error { return syscall.EIO }
		}
		u := begin(t, s, blobtest.NewState(oci.SHA256))
		add(t, u, content)
		if err := u.Commit(t.Context(), d); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: Commit: %v, want EIO", step, err)
		}
		wantBlob(t, s, d, content)
	}
}

func TestLostUploadDoesNotCancelItsSuccessor(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	lost := begin(t, s, blobtest.NewState(oci.SHA256))
	add(t, lost, []byte("content"))
	failSync(s, s.uploads, syscall.EIO)
	if err := lost.Commit(t.Context(), oci.SHA256.FromString("content")); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Commit: %v, want EIO", err)
	}
	s.ops = systemOps()
	next := begin(t, s, blob.State{ID: lost.id, Algorithm: oci.SHA256})
	add(t, next, []byte("content"))
	if err := lost.Cancel(t.Context()); !errors.Is(err, errTaken) {
		t.Errorf("Cancel: %v", err)
	}
	if err := next.Commit(t.Context(), oci.SHA256.FromString("content")); err != nil {
		t.Error(err)
	}
}
