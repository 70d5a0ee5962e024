package app_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// smallDisk mounts a file system of 16 MiB until the end of the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("moorgate-test", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatalf("cannot mount a small tmpfs: %v; this test needs root and CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN, or --privileged)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("cannot unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes a file until limit bytes are in it, or the disk is full.
func fill(t *testing.T, path string, limit int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // a full disk is what is wanted
	page := randomBytes(4096)
	for n := 0; n < limit; n += len(page) {
		_, err := f.Write(page)
		if errors.Is(err, syscall.ENOSPC) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantFull fails the test unless a request was answered that there is no space.
func wantFull(t *testing.T, a answer) {
	t.Helper()
	if a.status != http.StatusInsufficientStorage || a.code() != "UNAVAILABLE" {
		t.Fatalf("status %d, code %q, want 507 and UNAVAILABLE\n%s", a.status, a.code(), a.body)
	}
}

// fullDisk is a server whose disk is small, and what it has acknowledged.
type fullDisk struct {
	*client
	server    *testserver.Server
	blobs     [][]byte
	manifests map[string][]byte // by tag
}

// readable fails the test unless all that was acknowledged comes back byte for
// byte.
func (f *fullDisk) readable(t *testing.T) {
	t.Helper()
	for _, b := range f.blobs {
		f.holds(t, "app", b)
	}
	for tag, want := range f.manifests {
		if a := f.want(t, http.StatusOK, http.MethodGet, "/v2/app/manifests/"+tag, nil); !bytes.Equal(a.body, want) {
			t.Fatalf("manifest %s came back as other bytes", tag)
		}
	}
}

// pushBlob pushes a new blob in one of three ways, and returns false if the disk
// is full.
func (f *fullDisk) pushBlob(t *testing.T) bool {
	t.Helper()
	content := randomBytes(700 << 10)
	var a answer
	switch len(f.blobs) % 3 {
	case 0:
		return f.pushInOnePiece(t)
	case 1: // a session of one request
		a = f.throughSession(t, content, nil)
	default: // a session of two
		a = f.throughSession(t, content[:400<<10], content[400<<10:])
	}
	return f.pushed(t, content, a)
}

// pushInOnePiece is pushBlob without a session, which a full disk may keep from
// being cancelled.
func (f *fullDisk) pushInOnePiece(t *testing.T) bool {
	t.Helper()
	content := randomBytes(700 << 10)
	return f.pushed(t, content, f.do(t, http.MethodPost, "/v2/app/blobs/uploads/?digest="+digestOf(content), bytes.NewReader(content)))
}

// pushed notes what a push was answered.
func (f *fullDisk) pushed(t *testing.T, content []byte, a answer) bool {
	t.Helper()
	if a.status == http.StatusCreated {
		f.blobs = append(f.blobs, content)
		return true
	}
	wantFull(t, a)
	return false
}

// throughSession pushes a blob in one or two parts. A session that found no
// space is cancelled.
func (f *fullDisk) throughSession(t *testing.T, one, two []byte) answer {
	t.Helper()
	a := f.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil)
	if a.status != http.StatusAccepted {
		return a
	}
	session := a.header.Get("Location")
	last, whole := one, digestOf(append(bytes.Clone(one), two...))
	if two != nil {
		last = two
		a = f.do(t, http.MethodPatch, session, bytes.NewReader(one))
	}
	if a.status == http.StatusAccepted {
		a = f.do(t, http.MethodPut, session+"?digest="+whole, bytes.NewReader(last))
	}
	if a.status != http.StatusCreated {
		f.cancel(t, session)
	}
	return a
}

// cancel ends an upload. That takes a little room for the metadata, which a full
// disk may not have: then the upload stays as it is, for the janitor.
func (f *fullDisk) cancel(t *testing.T, session string) {
	t.Helper()
	a := f.do(t, http.MethodDelete, session, nil)
	if a.status == http.StatusNoContent {
		f.want(t, http.StatusNotFound, http.MethodGet, session, nil)
		return
	}
	wantFull(t, a)
	f.want(t, http.StatusNoContent, http.MethodGet, session, nil)
}

// pushManifest pushes a new manifest, and returns false if the disk is full.
func (f *fullDisk) pushManifest(t *testing.T, tag string) bool {
	t.Helper()
	m := manifest(f.blobs[0], 1<<20)
	a := f.do(t, http.MethodPut, "/v2/app/manifests/"+tag, bytes.NewReader(m), "Content-Type", manifestType)
	if a.status == http.StatusCreated {
		f.manifests[tag] = m
		return true
	}
	wantFull(t, a)
	return false
}

func TestFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	data, filler := filepath.Join(disk, "data"), filepath.Join(disk, "filler")
	fill(t, filler, 6<<20)
	s := start(t, "open: true\n", "--data", data)
	f := &fullDisk{client: newClient(t, s, nil), server: s, manifests: map[string][]byte{}}

	for refusals := 0; refusals < 3; { // once in each way
		if !f.pushBlob(t) {
			refusals++
			f.blobs = append(f.blobs, f.blobs[0]) // the next way
		}
		if len(f.blobs) > 50 {
			t.Fatal("the disk does not get full")
		}
	}
	if left := uploads(t, data); len(left) > 0 {
		t.Errorf("left behind by pushes that found no space: %q", left)
	}
	f.readable(t)

	fill(t, filepath.Join(disk, "rest"), 16<<20)
	for n := 0; f.pushManifest(t, "full"+strings.Repeat("x", n)); n++ {
		if n > 20 {
			t.Fatal("manifests need no space")
		}
	}
	f.readable(t)
	if n := strings.Count(s.Log(), "msg=panic"); n > 0 {
		t.Errorf("%d panics", n)
	}

	for _, name := range []string{filler, filepath.Join(disk, "rest")} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if !f.pushBlob(t) || !f.pushManifest(t, "again") {
		t.Fatal("there is space again, but the push was refused")
	}
	f.readable(t)
	if err := s.Stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	f.server = start(t, "open: true\n", "--data", data)
	f.client = newClient(t, f.server, nil)
	f.readable(t)
}

// TestFullDiskCanBeCleanedUp: no byte is free, and the process ends badly. It
// starts again and serves; when there is a little space, an upload that was cut
// off can be cancelled.
func TestFullDiskCanBeCleanedUp(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	data, filler := filepath.Join(disk, "data"), filepath.Join(disk, "filler")
	s := start(t, "open: true\n", "--data", data)
	c := newClient(t, s, nil)
	content := randomBytes(100 << 10)
	c.push(t, "app", content)
	session := c.session(t, "app")
	c.want(t, http.StatusAccepted, http.MethodPatch, session, bytes.NewReader(content))
	fill(t, filler, 16<<20)
	if a := c.do(t, http.MethodDelete, session, nil); a.status != http.StatusNoContent {
		wantFull(t, a)
	}
	s.Kill()

	fill(t, filepath.Join(disk, "more"), 16<<20)
	again := start(t, "open: true\n", "--data", data)
	c = newClient(t, again, nil)
	c.holds(t, "app", content)
	if err := os.Truncate(filler, 1<<20); err != nil {
		t.Fatal(err)
	}
	if a := c.do(t, http.MethodDelete, session, nil); a.status != http.StatusNoContent && a.status != http.StatusNotFound {
		t.Errorf("cancel: status %d, want 204 or 404\n%s", a.status, a.body)
	}
	if left := uploads(t, data); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	c.push(t, "app", randomBytes(1000))
}

// TestFullDiskIsFreedByDeletes: a push that finds no space has what is deleted
// removed, so that one that comes later finds some.
func TestFullDiskIsFreedByDeletes(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	s := start(t, "open: true\nregistry: {free_after: 0s}\n", "--data", filepath.Join(disk, "data"))
	f := &fullDisk{client: newClient(t, s, nil), server: s}
	old := randomBytes(4 << 20)
	f.push(t, "app", old)
	filler := filepath.Join(disk, "filler")
	fill(t, filler, 6<<20)
	for n := 0; f.pushBlob(t); n++ {
		if n > 20 {
			t.Fatal("the disk does not get full")
		}
	}
	if err := os.Truncate(filler, 6<<20-(256<<10)); err != nil { // a delete takes a little
		t.Fatal(err)
	}
	f.want(t, http.StatusAccepted, http.MethodDelete, "/v2/app/blobs/"+digestOf(old), nil)
	eventually(t, "space that a push needs to be freed", func() bool {
		f.pushInOnePiece(t)
		return hasLine(s.Log(), "removed content that no repository holds", "blobs=1 bytes=4194304")
	})
	f.readable(t)
}
