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
// it is the first of its shard). When one of these fails nobody knows what is on
// the disk, so the upload is gone. When the rename fails it can be tried again.
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

// publish puts the file on stable storage and gives it its final name. The
// directory is open before its entries change: so it learns of a write that failed
// meanwhile, even if the sync of somebody else was told of it first.
func (u *upload) publish(d oci.Digest) error {
	s := u.store
	defer s.turns.take(d)()
	if err := s.makeShard(s.shardDir(d)); err != nil {
		return err
	}
	dir, err := os.Open(s.shardDir(d))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if err := u.seal(); err != nil {
		return err
	}
	if _, err := os.Lstat(s.blobPath(d)); errors.Is(err, fs.ErrNotExist) {
		return u.add(d, dir)
	}
	return u.replace(d, dir)
}

// seal makes the file read-only, of the right length and time.
func (u *upload) seal() error {
	if _, err := u.cut(); err != nil {
		return err
	}
	if err := os.Chtimes(u.store.uploadPath(u.id), time.Time{}, u.store.now()); err != nil {
		return err
	}
	return u.file.Chmod(blobMode)
}

// add publishes what was not stored. A name alone promises nothing, for its link
// in meta comes after the commit. So the name may be there first, and both syncs
// run at once, which costs little more than one.
func (u *upload) add(d oci.Digest, dir *os.File) error {
	if err := u.rename(d); err != nil {
		return err
	}
	synced := make(chan error, 1)
	go func() { synced <- u.store.ops.sync(dir) }()
	err := u.store.ops.sync(u.file)
	if err = errors.Join(err, <-synced); err != nil {
		_ = os.Remove(u.store.blobPath(d)) // it is ours: nobody else has had a turn
		return u.lose(err)
	}
	_ = u.end() // nothing is left to be written
	return nil
}

// replace publishes what was stored already, and acknowledged perhaps: all of the
// new file must be on the disk before the old one goes.
func (u *upload) replace(d oci.Digest, dir *os.File) error {
	if err := u.store.ops.sync(u.file); err != nil {
		_ = os.Remove(u.store.uploadPath(u.id)) // Abandoned finds it otherwise
		return u.lose(err)
	}
	if err := u.rename(d); err != nil {
		return err
	}
	if err := u.store.ops.sync(dir); err != nil {
		return u.lose(err) // the file stays: whichever it is, it has the content
	}
	_ = u.end() // nothing is left to be written
	return nil
}

func (u *upload) rename(d oci.Digest) error {
	err := u.store.ops.rename(u.store.uploadPath(u.id), u.store.blobPath(d))
	if err != nil {
		_ = u.file.Chmod(uploadMode) // Upload does it again
	}
	return err
}

// lose refuses all that follows, because of err, which it returns.
func (u *upload) lose(err error) error {
	u.refuse = fmt.Errorf("the bytes of the upload are lost: %w", err)
	return err
}
