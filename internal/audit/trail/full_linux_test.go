package trail_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/audit/trail"
)

// smallDisk mounts a file system of 1 MiB until the end of the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("moorgate-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("cannot mount a small tmpfs: %v; this test needs root and CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN, or --privileged)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("cannot unmount %s: %v", dir, err)
		}
	})
	return dir
}

// A disk that is full tears no line. What was not written waits, and is written in
// its order when there is space; while it waits, a trail that is required says so.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	c := trail.Default()
	c.File.Path, c.Required = filepath.Join(dir, "audit.log"), true
	r := open(t, c)
	n := 0
	more := func() {
		r.done(t, fmt.Sprint(n))
		n++
	}
	more()
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	for range 100 { // of about 160 bytes: the last page of the file has room for few
		more()
	}
	if err := r.Ready(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	if got := len(users(t, c.File.Path)); got < 1 || got > 40 {
		t.Errorf("%d records on a full disk", got)
	}
	if got := strings.Count(r.log.String(), "the audit cannot be written"); got != 1 {
		t.Errorf("the operator is told %d times:\n%s", got, r.log.String())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await(t, "they are written", func() bool { return len(users(t, c.File.Path)) == n })
	more()
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	if diff := cmp.Diff(want, users(t, c.File.Path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // a full disk is what is wanted
	for page := make([]byte, 4096); ; {
		_, err := f.Write(page)
		if errors.Is(err, syscall.ENOSPC) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
