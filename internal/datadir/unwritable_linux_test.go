package datadir

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// nobody is a user without rights to the directories of the tests.
const nobody = 65534

// TestUnwritableDirectory does its file access as another user when it is run
// by root, whom modes do not stop. Only this thread changes its user
// (setfsuid(2)), and it ends with the test because it stays locked.
func TestUnwritableDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	const todo = ": permission denied; make it writable for this user or give another --data"
	tests := []struct{ name, path, want string }{
		{"existing", dir, "the data directory " + dir + " cannot be used: open " + dir + "/lock" + todo},
		{"missing", dir + "/data", "the data directory " + dir + "/data cannot be used: mkdir " + dir + "/data" + todo},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runtime.LockOSThread()
			if os.Geteuid() == 0 {
				if err := syscall.Setfsuid(nobody); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Open(tt.path); err == nil || err.Error() != tt.want {
				t.Errorf("Open: %v, want %s", err, tt.want)
			}
		})
	}
}
