package disk

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user without rights to the directories of the tests.
const nobody = 65534

// TestOpenUnwritableDirectory does its file access as another user when it is
// run by root, whom modes do not stop. Only this thread changes its user
// (setfsuid(2)); it stays locked, so it ends with the test.
func TestOpenUnwritableDirectory(t *testing.T) {
	for name, unwritable := range map[string]string{"new store": "", "uploads": "uploads", "blobs": "blobs/sha512"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if unwritable != "" {
				openStore(t, dir)
			}
			for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
				if err := os.Chmod(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, d := range []string{"uploads", "blobs", "blobs/sha256", "blobs/sha512"} {
				mode := os.FileMode(0o777)
				if d == unwritable {
					mode = 0o555
				}
				if err := os.Chmod(filepath.Join(dir, d), mode); err != nil && unwritable != "" {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			runtime.LockOSThread()
			if os.Geteuid() == 0 {
				if err := syscall.Setfsuid(nobody); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = syscall.Setfsuid(0) }() // who removes the directory
			}
			_, err := Open(Config{Dir: dir})
			want := "cannot use " + dir + " for blobs: the directory cannot be written to by this user: "
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open: %v, want %s…", err, want)
			}
		})
	}
}
