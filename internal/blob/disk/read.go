package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// Open is that of blob.Store. The content is an *os.File.
func (s *Store) Open(_ context.Context, d oci.Digest) (io.ReadSeekCloser, int64, error) {
	f, err := os.Open(s.blobPath(d))
	if err != nil {
		return nil, 0, missing("open", d, err)
	}
	size, err := regularSize(f.Stat())
	if err != nil {
		_ = f.Close()
		return nil, 0, missing("open", d, err)
	}
	return f, size, nil
}

// Stat is that of blob.Store.
func (s *Store) Stat(_ context.Context, d oci.Digest) (int64, error) {
	size, err := regularSize(os.Stat(s.blobPath(d)))
	if err != nil {
		return 0, missing("stat", d, err)
	}
	return size, nil
}

// Delete is that of blob.Store. It is not on stable storage when it returns:
// content that comes back with the machine is found by All.
func (s *Store) Delete(_ context.Context, d oci.Digest) error {
	defer s.turns.take(d)()
	err := os.Remove(s.blobPath(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	return nil
}

// missing describes an error about the blob d; a file that is not there is
// blob.ErrNotFound.
func missing(verb string, d oci.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = blob.ErrNotFound
	}
	return fmt.Errorf("%s blob %s: %w", verb, d, err)
}

// regularSize takes the results of Stat and returns the size in bytes.
func regularSize(info fs.FileInfo, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file: %s", info.Name(), info.Mode())
	}
	return info.Size(), nil
}
