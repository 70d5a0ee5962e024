//go:build unix

package atomicfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Lock waits until no other process that uses Lock changes files in the
// directory of path, through symbolic links, and returns a function that lets
// the next one go. The lock ends with the process. It is on the directory:
// the file itself is replaced by Write, and a lock file would be left behind.
func Lock(path string) (unlock func() error, err error) {
	return lock(path, func(dir int) error { return flock(dir, syscall.LOCK_EX) })
}

// rest is how long LockContext waits before it tries again.
const rest = 50 * time.Millisecond

// LockContext is Lock that gives up when ctx ends, with the error of that: the kernel
// would wait on. Among those that wait it knows no order.
func LockContext(ctx context.Context, path string) (unlock func() error, err error) {
	return lock(path, func(dir int) error {
		for {
			err := flock(dir, syscall.LOCK_EX|syscall.LOCK_NB)
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return err
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("another process holds the lock: %w", context.Cause(ctx))
			case <-time.After(rest):
			}
		}
	})
}

// lock locks the directory of path by take, which gets its descriptor.
func lock(path string, take func(dir int) error) (unlock func() error, err error) {
	target, err := Target(path)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	if err := take(int(dir.Fd())); err != nil {
		_ = dir.Close() // the error of the lock is the one to tell
		return nil, fmt.Errorf("cannot lock the directory of %s: %w", path, err)
	}
	return dir.Close, nil
}

// flock is the system call, again when a signal has come in between.
func flock(fd, how int) error {
	for {
		if err := syscall.Flock(fd, how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// keepOwner gives f the owner and the group of old.
func keepOwner(f *os.File, old fs.FileInfo) error {
	was, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Uid == was.Uid && is.Gid == was.Gid {
		return nil
	}
	return f.Chown(int(was.Uid), int(was.Gid))
}
