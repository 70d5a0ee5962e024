package faultfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/torture/faultfs"
)

// failing returns a hook with which operations of a kind end in outcome.
func failing(kind faultfs.Kind, outcome faultfs.Outcome) faultfs.Hook {
	return func(op faultfs.Op) faultfs.Fault {
		if op.Kind == kind {
			return faultfs.Fault{Errno: syscall.EIO, Outcome: outcome}
		}
		return faultfs.Fault{}
	}
}

func TestAWriteMayFailInTheMiddle(t *testing.T) {
	t.Parallel()
	backing := sample(t)
	mounted := faultfs.Mount(t, backing)
	mounted.SetHook(failing(faultfs.Write, faultfs.Half))
	err := withFile(mounted.Dir, func(f *os.File) error { _, err := f.WriteAt([]byte("1234"), 1); return err })
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("the error is %v, want %v", err, syscall.EIO)
	}
	wantContent(t, filepath.Join(backing, "file"), "a12def")
}

func TestAFailedSyncMayLoseWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	backing := sample(t)
	mounted := faultfs.Mount(t, backing)
	err := withFile(mounted.Dir, func(f *os.File) error {
		_, err1 := f.WriteAt([]byte("12"), 0)
		err2 := f.Sync()
		_, err3 := f.WriteAt([]byte("34567"), 1)
		_, err4 := f.WriteAt([]byte("8901"), 4)
		mounted.SetHook(failing(faultfs.Fsync, faultfs.Lost))
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("the error is %v, want %v", err, syscall.EIO)
		}
		mounted.SetHook(nil)
		return errors.Join(err1, err2, err3, err4, f.Sync())
	})
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, filepath.Join(mounted.Dir, "file"), "12cdef\x00\x00")
	wantContent(t, filepath.Join(backing, "file"), "12cdef\x00\x00")
}

func wantContent(t *testing.T, file, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, want %q; %v", file, got, want, err)
	}
}

func TestAFileSystemThatIsInUseIsUnmountedToo(t *testing.T) {
	t.Parallel()
	var dir string
	var open *os.File
	t.Run("mounted", func(t *testing.T) {
		mounted := faultfs.Mount(t, sample(t))
		dir = mounted.Dir
		var err error
		if open, err = os.Open(filepath.Join(dir, "file")); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mount point is still there: %v", err)
	}
	if err := open.Close(); err != nil {
		t.Error(err)
	}
}
