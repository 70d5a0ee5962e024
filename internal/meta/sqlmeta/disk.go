package sqlmeta

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// disk is what this package does with the files of SQLite besides SQLite.
type disk struct {
	open          func(path string) (file, error)
	syncDirectory func(path string) error
}

// file is an open file: an *os.File, but for tests.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

func osDisk() disk {
	return disk{
		open:          func(path string) (file, error) { return os.OpenFile(path, os.O_RDWR, 0) },
		syncDirectory: syncDirectory,
	}
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync the directory %s: %w", path, err)
	}
	return nil
}
