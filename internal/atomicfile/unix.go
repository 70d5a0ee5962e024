//go:build unix

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Lock waits until no other process that uses Lock changes files in the
// directory of path, through symbolic links, and returns a function that lets
// the next one go. The lock ends with the process. It is on the directory:
// the file itself is replaced by Write, and a lock file would be left behind.
func Lock(path string) (unlock func() error, err error) {
	target, err := Target(path)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	err = syscall.EINTR
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		_ = dir.Close() // the error of the lock is the one to tell
		return nil, fmt.Errorf("cannot lock the directory of %s: %w", path, err)
	}
	return dir.Close, nil
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
