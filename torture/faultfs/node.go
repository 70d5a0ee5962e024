package faultfs

import (
	"context"
	"path"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const permissions = 0o7777

// node is a file or directory. What it does not say itself, such as a lookup, is
// done without a question.
type node struct {
	*fs.LoopbackNode
	fs *FS
}

var (
	_ fs.NodeWrapChilder    = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeCreater        = (*node)(nil)
	_ fs.NodeMkdirer        = (*node)(nil)
	_ fs.NodeMknoder        = (*node)(nil)
	_ fs.NodeRmdirer        = (*node)(nil)
	_ fs.NodeUnlinker       = (*node)(nil)
	_ fs.NodeRenamer        = (*node)(nil)
	_ fs.NodeLinker         = (*node)(nil)
	_ fs.NodeSetattrer      = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.NodeSymlinker      = (*node)(nil)
	_ fs.NodeTmpfiler       = (*node)(nil)
)

// WrapChild makes a node of what the loopback finds.
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	child, ok := ops.(*fs.LoopbackNode)
	if !ok {
		return ops
	}
	return &node{LoopbackNode: child, fs: n.fs}
}

func (n *node) path() string { return n.Path(n.Root()) }

func (n *node) child(name string) string { return path.Join(n.path(), name) }

// openFlags says how the kernel treats an open file: it caches nothing, unless
// the file is one that must be mapped.
func openFlags(path string) uint32 {
	if strings.HasSuffix(path, "-shm") {
		return 0
	}
	return fuse.FOPEN_DIRECT_IO
}

// readable lets us read a file that is opened for writing alone, to know what a
// write replaces.
func readable(flags uint32) uint32 {
	if flags&syscall.O_ACCMODE == syscall.O_WRONLY {
		flags = flags&^syscall.O_ACCMODE | syscall.O_RDWR
	}
	return flags
}

// Open is that of fs.NodeOpener.
func (n *node) Open(ctx context.Context, flags uint32) (h fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	op := Op{Kind: Open, Path: n.path()}
	errno = n.fs.run(op, func() syscall.Errno {
		var inner fs.FileHandle
		inner, _, errno = n.LoopbackNode.Open(ctx, readable(flags))
		if errno == 0 {
			h, errno = n.fs.opened(inner, op.Path)
		}
		return errno
	})
	return h, openFlags(op.Path), errno
}

// Create is that of fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (child *fs.Inode, h fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	op := Op{Kind: Create, Path: n.child(name), Mode: mode & permissions}
	errno = n.fs.run(op, func() syscall.Errno {
		var inner fs.FileHandle
		child, inner, _, errno = n.LoopbackNode.Create(ctx, name, readable(flags), mode, out)
		if errno == 0 {
			h, errno = n.fs.opened(inner, op.Path)
		}
		return errno
	})
	return child, h, openFlags(op.Path), errno
}

// Mkdir is that of fs.NodeMkdirer.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (child *fs.Inode, errno syscall.Errno) {
	errno = n.fs.run(Op{Kind: Mkdir, Path: n.child(name), Mode: mode & permissions}, func() syscall.Errno {
		child, errno = n.LoopbackNode.Mkdir(ctx, name, mode, out)
		return errno
	})
	return child, errno
}

// Mknod is that of fs.NodeMknoder.
func (n *node) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (child *fs.Inode, errno syscall.Errno) {
	errno = n.fs.run(Op{Kind: Mknod, Path: n.child(name), Mode: mode}, func() syscall.Errno {
		child, errno = n.LoopbackNode.Mknod(ctx, name, mode, dev, out)
		return errno
	})
	return child, errno
}

// Rmdir is that of fs.NodeRmdirer.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.fs.run(Op{Kind: Rmdir, Path: n.child(name)}, func() syscall.Errno {
		return n.LoopbackNode.Rmdir(ctx, name)
	})
}

// Unlink is that of fs.NodeUnlinker.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	op := Op{Kind: Unlink, Path: n.child(name)}
	return n.fs.run(op, func() syscall.Errno {
		errno := n.LoopbackNode.Unlink(ctx, name)
		if errno == 0 {
			n.fs.moved(op.Path, "")
		}
		return errno
	})
}

// Rename is that of fs.NodeRenamer. It does not exchange names.
func (n *node) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := parent.(*node)
	if !ok {
		return syscall.EXDEV
	}
	if flags&^unix.RENAME_NOREPLACE != 0 {
		return syscall.EINVAL
	}
	op := Op{Kind: Rename, Path: n.child(name), To: to.child(newName)}
	return n.fs.run(op, func() syscall.Errno {
		errno := n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
		if errno == 0 {
			n.fs.moved(op.Path, op.To)
		}
		return errno
	})
}

// Link is that of fs.NodeLinker.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (child *fs.Inode, errno syscall.Errno) {
	from, ok := target.(*node)
	if !ok {
		return nil, syscall.EXDEV
	}
	errno = n.fs.run(Op{Kind: Link, Path: from.path(), To: n.child(name)}, func() syscall.Errno {
		child, errno = n.LoopbackNode.Link(ctx, target, name, out)
		return errno
	})
	return child, errno
}

// Setattr is that of fs.NodeSetattrer.
func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	op := Op{Kind: SetAttr}
	op.Mode, _ = in.GetMode()
	if size, ok := in.GetSize(); ok {
		op.Kind, op.Offset = Truncate, int64(size)
	}
	f, open := h.(*file)
	if open {
		op.Path = f.name()
	} else {
		op.Path = n.path()
	}
	return n.fs.apply(&op, f, n.fs.ask(op), func() syscall.Errno {
		if open {
			return f.inner.Setattr(ctx, in, out)
		}
		return n.LoopbackNode.Setattr(ctx, nil, in, out)
	})
}

// OpendirHandle is that of fs.NodeOpendirHandler.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	inner, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	stream, ok := inner.(dirStream)
	if !ok {
		return nil, 0, syscall.ENOTSUP
	}
	return &dir{dirStream: stream, node: n}, fuseFlags, 0
}

// Symlink refuses: no hook knows of it.
func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Tmpfile refuses, so that a program makes a file with a name instead.
func (n *node) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EOPNOTSUPP
}
