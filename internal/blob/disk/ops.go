package disk

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/moorgate/moorgate/internal/blob"
)

// ops are the system calls that fail when a disk is full or breaks. They are
// fields so that tests can let them fail.
type ops struct {
	writeAt func(f *os.File, p []byte, off int64) (int, error)
	sync    func(f *os.File) error
	rename  func(from, to string) error
}

func systemOps() ops {
	return ops{writeAt: (*os.File).WriteAt, sync: (*os.File).Sync, rename: os.Rename}
}

// syncDir puts the names in dir on stable storage.
func (s *Store) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return s.ops.sync(f)
}

// noSpace adds blob.ErrNoSpace to errors that say that the disk, or the share
// of it that this user may have, is full.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", blob.ErrNoSpace, err)
	}
	return err
}
