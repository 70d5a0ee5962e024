package faultfs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// file is an open file.
type file struct {
	fs    *FS
	inner *fs.LoopbackFile
	inode uint64 // of the backing file
	path  string // "" when it has none any more; FS.mu
}

var (
	_ fs.FileReader    = (*file)(nil)
	_ fs.FileWriter    = (*file)(nil)
	_ fs.FileFsyncer   = (*file)(nil)
	_ fs.FileFlusher   = (*file)(nil)
	_ fs.FileReleaser  = (*file)(nil)
	_ fs.FileGetattrer = (*file)(nil)
	_ fs.FileAllocater = (*file)(nil)
	_ fs.FileLseeker   = (*file)(nil)
)

// opened returns the file of a handle of the loopback. The caller holds s.mu.
func (s *FS) opened(h fs.FileHandle, path string) (*file, syscall.Errno) {
	inner, ok := h.(*fs.LoopbackFile)
	if !ok {
		return nil, syscall.ENOTSUP
	}
	f := &file{fs: s, inner: inner, path: path}
	var st syscall.Stat_t
	if err := syscall.Fstat(f.fd(), &st); err != nil {
		return nil, fs.ToErrno(err)
	}
	f.inode = st.Ino
	if st.Size == 0 {
		delete(s.unsynced, f.inode) // of a file that was there before
	}
	s.files[f] = struct{}{}
	return f, 0
}

func (f *file) name() string {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.path
}

// fd is good as long as the file is open.
func (f *file) fd() int {
	fd, ok := f.inner.PassthroughFd()
	if !ok {
		return -1
	}
	return fd
}

// Read is that of fs.FileReader.
func (f *file) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if fault := f.fs.ask(Op{Kind: Read, Path: f.name(), Offset: off}); fault.Errno != 0 {
		return nil, fault.Errno
	}
	return f.inner.Read(ctx, dest, off)
}

// Write is that of fs.FileWriter.
func (f *file) Write(ctx context.Context, data []byte, off int64) (n uint32, errno syscall.Errno) {
	op := Op{Kind: Write, Path: f.name(), Offset: off, Data: data}
	fault := f.fs.ask(op)
	if fault.Errno != 0 && fault.Outcome == Half {
		op.Data = data[:len(data)/2]
	}
	errno = f.fs.apply(&op, f, fault, func() syscall.Errno {
		f.fs.unsyncedOf(f.inode).note(f.fd(), off, len(op.Data))
		n, errno = f.inner.Write(ctx, op.Data, off)
		op.Data = op.Data[:n]
		return errno
	})
	return n, errno
}

// Fsync is that of fs.FileFsyncer.
func (f *file) Fsync(context.Context, uint32) syscall.Errno {
	op := Op{Kind: Fsync, Path: f.name()}
	fault := f.fs.ask(op)
	if fault.Errno != 0 && fault.Outcome == Lost {
		f.fs.mu.Lock()
		defer f.fs.mu.Unlock()
		f.fs.unsyncedOf(f.inode).revert(f.fd())
		return fault.Errno
	}
	return f.fs.apply(&op, f, fault, func() syscall.Errno {
		delete(f.fs.unsynced, f.inode)
		return 0
	})
}

// Allocate is that of fs.FileAllocater.
func (f *file) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	op := Op{Kind: Allocate, Path: f.name(), Offset: int64(off + size)}
	return f.fs.apply(&op, f, f.fs.ask(op), func() syscall.Errno {
		return f.inner.Allocate(ctx, off, size, mode)
	})
}

// Flush is that of fs.FileFlusher: one of the descriptors is closed.
func (f *file) Flush(ctx context.Context) syscall.Errno { return f.inner.Flush(ctx) }

// Release is that of fs.FileReleaser: all descriptors are closed.
func (f *file) Release(ctx context.Context) syscall.Errno {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	delete(f.fs.files, f)
	return f.inner.Release(ctx)
}

// Getattr is that of fs.FileGetattrer.
func (f *file) Getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	return f.inner.Getattr(ctx, out)
}

// Lseek is that of fs.FileLseeker: holes of a file.
func (f *file) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	return f.inner.Lseek(ctx, off, whence)
}

// dirStream is what the loopback makes of an open directory.
type dirStream interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
}

// dir is an open directory.
type dir struct {
	dirStream
	node *node
}

// Fsyncdir is that of fs.FileFsyncdirer.
func (d *dir) Fsyncdir(context.Context, uint32) syscall.Errno {
	return d.node.fs.run(Op{Kind: FsyncDir, Path: d.node.path()}, func() syscall.Errno { return 0 })
}
