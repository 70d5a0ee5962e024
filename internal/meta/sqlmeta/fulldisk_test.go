package sqlmeta

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// smallDisk names, in the environment of a process that TestSQLiteFullFileSystem
// starts, a directory to mount a small file system on.
const smallDisk = "SQLMETA_TEST_SMALL_DISK"

const smallDiskSize = 1 << 20 // bytes

// TestSQLiteFullFileSystem fills a real file system. It runs itself again in a
// mount namespace of its own, so that nothing is left mounted.
func TestSQLiteFullFileSystem(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(smallDisk); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallDiskSize)); err != nil {
			t.Fatalf("cannot mount a small file system: %v", err)
		}
		fillFileSystem(t, dir)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSQLiteFullFileSystem$")
	cmd.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v (the test needs the right to mount in a namespace of its own)\n%s", err, out)
	}
}

func fillFileSystem(t *testing.T, disk string) {
	filler := leaveFree(t, disk, 8192)
	if _, err := OpenSQLite(t.Context(), SQLite{Path: filepath.Join(disk, "meta.db")}); !errors.Is(err, meta.ErrNoSpace) {
		t.Errorf("open: error %v, want %v", err, meta.ErrNoSpace)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(disk, "made.db") // so that not each has to migrate
	if err := openSQLite(t, made).Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	for pages := range 48 {
		t.Run(fmt.Sprint(pages, " pages free"), func(t *testing.T) {
			dir, err := os.MkdirTemp(disk, "db")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir) //nolint:errcheck // the disk goes with the process
			path := filepath.Join(dir, "meta.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			s := openSQLite(t, path)
			put(t, s, "app", 0)
			filler := leaveFree(t, disk, int64(pages)*4096)
			done := updateUntilFull(t, s)
			leaveFree(t, dir, 0)
			if err := s.UpdateRelaxed(t.Context(), nothing); err != nil {
				t.Errorf("an update that changes nothing: %v", err)
			}
			hasAll(t, s, done)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			put(t, s, "with-room", 1)
			hasAll(t, s, append(done, "with-room"))
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			hasAll(t, openSQLite(t, path), append(done, "with-room"))
		})
	}
}

// leaveFree writes a file that leaves so many bytes free, and returns its name.
func leaveFree(t *testing.T, disk string, free int64) string {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(disk, &stat); err != nil {
		t.Fatal(err)
	}
	size := int64(stat.Bavail)*stat.Bsize - free
	path := filepath.Join(disk, "filler")
	if err := os.WriteFile(path, make([]byte, max(size, 0)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// updateUntilFull makes updates until three have failed, which must be for want
// of space. It returns the repositories of those that did not.
func updateUntilFull(t *testing.T, s *Store) (done []string) {
	t.Helper()
	for i, failed := 0, 0; failed < 3; i++ {
		repo := fmt.Sprint("app", i)
		err := s.Update(t.Context(), func(tx meta.Tx) error {
			m := meta.Manifest{Digest: oci.SHA256.FromString(repo), Body: make([]byte, 3000)}
			return tx.PutManifest(repo, m, nil)
		})
		switch {
		case err == nil:
			done = append(done, repo)
		case errors.Is(err, meta.ErrNoSpace):
			failed++
		default:
			t.Fatalf("error %v, want %v", err, meta.ErrNoSpace)
		}
	}
	return done
}

func hasAll(t *testing.T, s *Store, repos []string) {
	t.Helper()
	for _, repo := range append(repos, "app") {
		if !has(t, s, repo) {
			t.Errorf("%s was acknowledged and is lost", repo)
		}
	}
}
