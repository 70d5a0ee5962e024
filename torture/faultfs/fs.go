package faultfs

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// maxWrite is the most bytes that one Write has; the kernel cuts larger ones. Each
// request has a buffer of that size.
const maxWrite = 320 << 10

// FS is a mounted file system. All methods may be called at once.
//
// Nothing is cached: each read and write of a program is an operation here, in
// the size it had (up to 320 KiB). The exception are files whose names end in
// "-shm": SQLite maps those into its memory, so the kernel keeps their pages, and
// writes to them come late, if at all.
//
// Operations that change something are done one after the other, syncs included.
// So there is one order of them, and it is the recorded one.
//
// Syncs are asked about and recorded, and then need no disk: what the backing
// directory holds outlives every process, and no test needs more.
//
// The process of the test serves the file system. It must not have files in it
// open while it starts another process, nor map any: the Go runtime may then wait
// for an operation that waits for the Go runtime.
type FS struct {
	Dir     string // the mount point
	Backing string // the directory that it shows

	hook atomic.Pointer[Hook]

	mu       sync.Mutex
	recorder *Recorder
	files    map[*file]struct{}   // those that are open
	unsynced map[uint64]*unsynced // by inode of the backing file
}

// Mount mounts backing, a directory, for the length of the test. What still uses
// the file system then loses it when it ends. It needs root and a kernel with
// FUSE, and fails the test without them.
func Mount(t testing.TB, backing string) *FS {
	t.Helper()
	s := &FS{Dir: t.TempDir(), Backing: backing, files: map[*file]struct{}{}, unsynced: map[uint64]*unsynced{}}
	root, err := fs.NewLoopbackRoot(backing)
	if err != nil {
		t.Fatalf("faultfs: %v", err)
	}
	loopback, ok := root.(*fs.LoopbackNode)
	if !ok {
		t.Fatalf("faultfs: the root is a %T", root)
	}
	if err := makeDevice(); err != nil {
		t.Fatalf("faultfs: cannot make %s: %v. It takes root and the right to make devices", device, err)
	}
	server, err := fs.Mount(s.Dir, &node{LoopbackNode: loopback, fs: s}, &fs.Options{MountOptions: fuse.MountOptions{
		FsName: "faultfs", Name: "faultfs", DirectMountStrict: true, MaxWrite: maxWrite, DisableXAttrs: true,
		ExplicitDataCacheControl: true,                 // else a page of a -shm file goes when its time changes
		DisabledCapabilities:     fuse.CAP_PASSTHROUGH, // would write past us
	}})
	if err != nil {
		t.Fatalf("faultfs: cannot mount on %s: %v. It takes root (in a container: CAP_SYS_ADMIN) and a kernel with FUSE (modprobe fuse)", s.Dir, err)
	}
	if err := keepDevice(); err != nil {
		t.Errorf("faultfs: %v", err)
	}
	t.Cleanup(func() {
		s.SetHook(nil)
		if err := server.Unmount(); err == nil {
			return
		}
		if err := syscall.Unmount(s.Dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("faultfs: cannot unmount %s: %v", s.Dir, err)
		}
	})
	return s
}

// device is where a process that serves a file system meets the kernel.
const device = "/dev/fuse"

// makeDevice makes the device if it is missing, as in a container without udev.
func makeDevice() error {
	err := unix.Mknod(device, unix.S_IFCHR|0o600, int(unix.Mkdev(10, 229)))
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// keepDevice keeps the device from the processes that the test starts: as long as one
// of them had it, the kernel would not see that the test is gone, and what waits for
// an answer would wait for ever.
func keepDevice() error {
	const own = "/proc/self/fd"
	list, err := os.ReadDir(own)
	for _, entry := range list {
		fd, bad := strconv.Atoi(entry.Name())
		if target, gone := os.Readlink(filepath.Join(own, entry.Name())); bad == nil && gone == nil && target == device {
			syscall.CloseOnExec(fd)
		}
	}
	return err
}

// SetHook makes hook the one that is asked from now on; nil is none.
func (s *FS) SetHook(hook Hook) {
	if hook == nil {
		s.hook.Store(nil)
		return
	}
	s.hook.Store(&hook)
}

// Record makes r note what changes from now on; nil ends that.
func (s *FS) Record(r *Recorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder = r
}

func (s *FS) ask(op Op) Fault {
	if hook := s.hook.Load(); hook != nil {
		return (*hook)(op)
	}
	return Fault{}
}

// run asks about op and does it with act.
func (s *FS) run(op Op, act func() syscall.Errno) syscall.Errno {
	return s.apply(&op, nil, s.ask(op), act)
}

// apply does op with act, unless fault says otherwise, and records it. If op is
// about an open file, f is that.
func (s *FS) apply(op *Op, f *file, fault Fault, act func() syscall.Errno) syscall.Errno {
	if fault.Errno != 0 && (fault.Outcome == NotDone || fault.Outcome == Lost) {
		return fault.Errno
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f != nil {
		op.Path = f.path // it may have been renamed since
	}
	if errno := act(); errno != 0 {
		return errno
	}
	if s.recorder != nil {
		s.recorder.add(*op)
	}
	return fault.Errno
}

// moved gives open files their new names: those at from and below it. What was
// at to has none any more. The caller holds s.mu.
func (s *FS) moved(from, to string) {
	for f := range s.files {
		below, isBelow := strings.CutPrefix(f.path, from+"/")
		switch {
		case f.path == to:
			f.path = ""
		case f.path == from:
			f.path = to
		case isBelow:
			f.path = to + "/" + below
		}
	}
}
