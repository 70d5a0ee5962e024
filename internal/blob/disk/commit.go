package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// Commit is that of blob.Upload. The caller holds meta.Store.LockBlob for d.
//
// It syncs two times: the file, and the directory it goes to (three times when
// it is the first of its shard). When the sync of the file fails nobody knows
// which bytes are on the disk, so the upload is gone. When the rename fails it
// can be tried again.
func (u *upload) Commit(ctx context.Context, d oci.Digest) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.refuse
	if err == nil {
		err = u.verify(ctx, d)
	}
	if err == nil {
		err = noSpace(u.publish(d))
	}
	if err != nil {
		return u.fail("commit", err)
	}
	return nil
}

// verify checks that the bytes taken have digest d.
func (u *upload) verify(ctx context.Context, d oci.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h := u.hash
	if d.Algorithm() != u.algorithm {
		var err error
		if h, err = newHash(d.Algorithm()); err != nil {
			return err
		}
		if err := u.rehash(ctx, h); err != nil {
			return err
		}
	}
	if got := digest.NewDigest(d.Algorithm(), h); got != d {
		return fmt.Errorf("%w: it is %s, not %s", blob.ErrMismatch, got, d)
	}
	return nil
}

// publish puts the file on stable storage and gives it its final name.
func (u *upload) publish(d oci.Digest) error {
	s := u.store
	if err := s.makeShard(s.shardDir(d)); err != nil {
		return err
	}
	if err := u.seal(); err != nil {
		return err
	}
	_, err := os.Lstat(s.blobPath(d))
	isNew := errors.Is(err, fs.ErrNotExist)
	if err := s.ops.rename(s.uploadPath(u.id), s.blobPath(d)); err != nil {
		_ = u.file.Chmod(uploadMode) // Upload does it again
		return err
	}
	_ = u.end() // nothing is left to be written
	if err := s.syncDir(s.shardDir(d)); err != nil {
		if isNew { // what was there before has been acknowledged, so it stays
			_ = os.Remove(s.blobPath(d))
		}
		return err
	}
	return nil
}

// seal makes the file read-only, of the right length and time, and syncs it.
func (u *upload) seal() error {
	if _, err := u.cut(); err != nil {
		return err
	}
	path := u.store.uploadPath(u.id)
	if err := os.Chtimes(path, time.Time{}, u.store.now()); err != nil {
		return err
	}
	if err := u.file.Chmod(blobMode); err != nil {
		return err
	}
	if err := u.store.ops.sync(u.file); err != nil {
		_ = os.Remove(path) // Abandoned finds it otherwise
		u.refuse = fmt.Errorf("the bytes of the upload are lost: %w", err)
		return err
	}
	return nil
}
