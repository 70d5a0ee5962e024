package powerloss

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"syscall"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/faultfs"
)

// session is an upload session that was begun, and what would be uploaded.
type session struct {
	repo, path string
	content    []byte
}

// record is what a real server did to its files, and for whom.
type record struct {
	t        testing.TB
	fs       *faultfs.FS
	recorder faultfs.Recorder
	server   *testserver.Server
	client   *client.Client

	mu        gosync.Mutex
	steps     []step
	blobs     map[string][]byte // by digest, all that were ever pushed
	manifests map[string][]byte
	sessions  []session
	moments   []int // numbers of operations after which something was over

	ops []Op // what the model is given; see translate
}

func newRecord(t testing.TB) *record {
	t.Helper()
	r := &record{t: t, fs: faultfs.Mount(t, memory(t)), blobs: map[string][]byte{}, manifests: map[string][]byte{}}
	r.fs.Record(&r.recorder)
	return r
}

// memory returns a directory on a file system in memory: the syncs of the servers
// that are looked at cost nothing there.
func memory(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatalf("cannot mount a file system in memory: %v (it takes root)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func openConfig(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "moorgate.yaml")
	if err := os.WriteFile(file, []byte("open: true\nlog: {access: false}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (r *record) start() {
	r.t.Helper()
	r.server = testserver.Start(r.t, "--data", filepath.Join(r.fs.Dir, "data"), "--config", openConfig(r.t))
	r.client = client.New(r.t, r.server.URL)
	r.moment()
}

// moment notes that something is over.
func (r *record) moment() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moments = append(r.moments, r.recorder.Len())
}

// do asks for a step and waits until it is acknowledged.
func (r *record) do(repo, name string, ask func() error, apply func(held)) {
	s := step{repo: repo, name: name, begin: r.recorder.Len(), acked: math.MaxInt, apply: apply}
	err := ask()
	s.acked = r.recorder.Len()
	if err != nil {
		r.t.Errorf("%s: %s: %v", repo, name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, s)
	r.moments = append(r.moments, s.acked)
}

// blob notes content that is going to be pushed, and returns its digest.
func (r *record) blob(content []byte) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := client.Digest(content)
	r.blobs[d] = content
	return d
}

func (r *record) manifest(body []byte) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := client.Digest(body)
	r.manifests[d] = body
	return d
}

// begun notes an upload session.
func (r *record) begun(repo, location string, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions = append(r.sessions, session{repo, strings.TrimPrefix(location, r.client.URL), content})
}

// translate turns the operations into those of the model, and the numbers of
// operations into those that are left.
func (r *record) translate() {
	kinds := map[faultfs.Kind]Kind{
		faultfs.Create: Create, faultfs.Write: Write, faultfs.Truncate: Truncate, faultfs.Allocate: Extend,
		faultfs.Fsync: Sync, faultfs.FsyncDir: SyncDir, faultfs.Rename: Rename, faultfs.Link: Link,
		faultfs.Unlink: Remove, faultfs.Mkdir: Mkdir, faultfs.Rmdir: Remove,
	}
	sockets := map[string]bool{}
	var position []int // by number of operations: the number of those that are left
	for _, op := range r.recorder.Ops() {
		position = append(position, len(r.ops))
		if op.Kind == faultfs.Mknod {
			sockets[op.Path] = true
		}
		kind, ok := kinds[op.Kind]
		switch {
		case !ok || sockets[op.Path]:
		case strings.HasSuffix(op.Path, "-shm"): // SQLite makes it anew
		case op.Path == "" && kind != SyncDir: // a file without a name
		default:
			r.ops = append(r.ops, Op{kind, op.Path, op.To, op.Offset, op.Data})
		}
	}
	at := func(n int) int {
		if n >= len(position) {
			return len(r.ops)
		}
		return position[n]
	}
	for i := range r.steps {
		r.steps[i].begin, r.steps[i].acked = at(r.steps[i].begin), at(r.steps[i].acked)
	}
	for i, n := range r.moments {
		r.moments[i] = at(n)
	}
	slices.Sort(r.moments)
	r.moments = slices.Compact(r.moments)
}
