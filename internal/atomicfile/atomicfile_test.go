package atomicfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/atomicfile"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func mustWrite(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, perm); err != nil { // whatever the umask says
		t.Fatal(err)
	}
}

func TestWriteMakesANewFileWithTheMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := atomicfile.Write(path, []byte("new"), 0o640); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 || read(t, path) != "new" {
		t.Errorf("%v, %v, %q", info.Mode(), err, read(t, path))
	}
}

func TestWriteKeepsModeAndOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	mustWrite(t, path, "old", 0o664)
	const someone = 12345
	root := os.Geteuid() == 0
	if root { // others cannot give files away, and so cannot lose an owner
		if err := os.Chown(path, someone, someone+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := atomicfile.Write(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o664 || read(t, path) != "new" {
		t.Errorf("mode %v, content %q", info.Mode(), read(t, path))
	}
	if st := info.Sys().(*syscall.Stat_t); root && (st.Uid != someone || st.Gid != someone+1) {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
}

func TestWriteFollowsLinksAndKeepsThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{"real", "links"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file, link := filepath.Join(dir, "real", "f"), filepath.Join(dir, "links", "l")
	mustWrite(t, file, "old", 0o600)
	for path, target := range map[string]string{link: "l2", filepath.Join(dir, "links", "l2"): "../real/f"} {
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := atomicfile.Write(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, file); got != "new" {
		t.Errorf("the file behind the link: %q", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info.Mode(), err)
	}
}

func TestWriteRefusesALinkToNothing(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "l")
	if err := os.Symlink("nothing", link); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(link, nil, 0o600); err == nil || !strings.Contains(err.Error(), "symbolic link to a file that does not exist") {
		t.Errorf("error %v", err)
	}
}

func TestWriteThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Mkdir(path, 0o700); err != nil { // a file cannot replace it
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("x"), 0o600); err == nil {
		t.Error("no error")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Readers never see half a file, nor none.
func TestReadersSeeTheOldOrTheNewContent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	contents := []string{strings.Repeat("a", 1<<16), strings.Repeat("b", 1<<15)}
	mustWrite(t, path, contents[0], 0o600)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			if err := atomicfile.Write(path, []byte(contents[i%2]), 0o600); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		if got := read(t, path); got != contents[0] && got != contents[1] {
			t.Fatalf("%d bytes of neither", len(got))
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestLockKeepsTheNextOneOut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	unlock, err := atomicfile.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	var holds atomic.Bool
	holds.Store(true)
	got := make(chan error)
	go func() {
		second, err := atomicfile.Lock(path)
		if err == nil && holds.Load() {
			t.Error("both hold the lock")
		}
		if err == nil {
			err = second()
		}
		got <- err
	}()
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close() //nolint:errcheck // it was only read
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		t.Error("a third one got the lock")
	}
	holds.Store(false)
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}
