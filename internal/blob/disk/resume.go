package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/moorgate/moorgate/internal/blob"
)

// reopen opens the file of an upload. A crash in the middle of a commit leaves
// it read-only.
func reopen(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	if err := os.Chmod(path, uploadMode); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// cut removes from the file what is beyond offset: bytes of a write that
// failed, or that came after the state was saved. It returns the size before.
func (u *upload) cut() (int64, error) {
	size, err := regularSize(u.file.Stat())
	if err == nil && size > u.offset {
		err = u.file.Truncate(u.offset)
	}
	return size, err
}

// restore brings the hash to the state after offset bytes.
func (u *upload) restore(ctx context.Context, st blob.State) error {
	if string(st.Store) == u.store.instance {
		if err := u.hash.UnmarshalBinary(st.Hash); err != nil {
			return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
		}
		return nil
	}
	if err := u.rehash(ctx, u.hash); err != nil {
		return err
	}
	state, err := u.hash.AppendBinary(nil)
	if err == nil && !bytes.Equal(state, st.Hash) {
		err = fmt.Errorf("the bytes have changed since they were taken: %w", blob.ErrNotFound)
	}
	return err
}

// rehash writes the bytes of the upload to h.
func (u *upload) rehash(ctx context.Context, h hash.Hash) error {
	buf := u.store.getBuffer()
	defer u.store.putBuffer(buf)
	for at := int64(0); at < u.offset; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(int64(len(buf)), u.offset-at)
		if _, err := u.file.ReadAt(buf[:n], at); err != nil {
			return fmt.Errorf("read again from byte %d: %w", at, noEOF(err))
		}
		_, _ = h.Write(buf[:n])
		at += n
	}
	return nil
}

// noEOF keeps the end of a file that came too early from looking like the
// proper one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
