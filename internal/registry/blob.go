package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Blob returns the content of a blob that repo holds, and its size in bytes.
// The caller closes it. On a file system it is an *os.File.
//
// Errors: BlobUnknown.
func (r *Registry) Blob(ctx context.Context, repo string, d oci.Digest) (io.ReadSeekCloser, int64, error) {
	content, size, err := r.openBlob(ctx, repo, d)
	if !errors.Is(err, blob.ErrNotFound) {
		return content, size, err
	}
	// It may have been deleted since the look, its content removed, and all of it
	// pushed again. Under the lock content does not go.
	unlock, err := r.meta.LockBlob(ctx, d)
	if err != nil {
		return nil, 0, fault("lock blob", err)
	}
	defer unlock()
	return r.openBlob(ctx, repo, d)
}

func (r *Registry) openBlob(ctx context.Context, repo string, d oci.Digest) (io.ReadSeekCloser, int64, error) {
	size, err := r.BlobSize(ctx, repo, d)
	if err != nil {
		return nil, 0, err
	}
	content, stored, err := r.blobs.Open(ctx, d)
	if err != nil {
		return nil, 0, fault(fmt.Sprintf("open blob %s of %s", d, repo), err)
	}
	if stored != size {
		return nil, 0, errors.Join(
			fmt.Errorf("blob %s of %s has %d bytes in the store, it should have %d", d, repo, stored, size),
			content.Close())
	}
	return content, size, nil
}

// BlobSize returns the size in bytes of a blob that repo holds.
//
// Errors: BlobUnknown.
func (r *Registry) BlobSize(ctx context.Context, repo string, d oci.Digest) (int64, error) {
	size, err := meta.ReadBlobSize(ctx, r.meta, repo, d)
	if errors.Is(err, meta.ErrNotFound) {
		return 0, oci.ErrBlobUnknown.WithDetail(map[string]any{"name": repo, "digest": d})
	}
	if err != nil {
		return 0, fault("look up blob", err)
	}
	return size, nil
}

// DeleteBlob ends that repo holds a blob. The guard is asked about each tag whose
// manifests need it: the tag stays, but could not be pulled any more. Otherwise
// who may not touch a protected tag could break it by a delete by digest under it.
//
// Errors: BlobUnknown, Unsupported; those of the guard.
func (r *Registry) DeleteBlob(ctx context.Context, repo string, d oci.Digest, guard Guard) error {
	if err := r.deleting(); err != nil {
		return err
	}
	err := r.meta.Update(ctx, func(tx meta.Tx) error {
		if _, err := tx.BlobSize(repo, d); err != nil {
			return err
		}
		if err := askUsers(tx, repo, d, guard); err != nil {
			return err
		}
		return tx.UnlinkBlob(repo, d, r.opts.Now().Add(r.opts.FreeAfter))
	})
	if errors.Is(err, meta.ErrNotFound) {
		return oci.ErrBlobUnknown.WithDetail(map[string]any{"name": repo, "digest": d})
	}
	if err != nil {
		return fault("delete blob", err)
	}
	return nil
}

// maxHolders bounds the repositories that a mount without a source looks at.
const maxHolders = 1000

// Mount lets repo hold a blob that from holds, or, if from is "", one that any
// repository holds whose blobs guard lets the caller read. It reports whether
// it did; if not, the caller has to upload the blob, and does not learn why. Only
// where a source would be open to better credentials, the error of the guard, of
// kind Unauthorized, says so.
func (r *Registry) Mount(ctx context.Context, repo string, d oci.Digest, from string, guard Guard) (bool, error) {
	source := mountSource{digest: d, from: from, guard: guard}
	held := false
	err := r.meta.View(ctx, func(tx meta.Tx) error {
		var err error
		held, err = source.exists(tx)
		return err
	})
	if err != nil {
		return false, fault("look up mount source", err)
	}
	if !held {
		return false, nil
	}
	unlock, err := r.meta.LockBlob(ctx, d)
	if err != nil {
		return false, fault("lock blob", err)
	}
	defer unlock()
	mounted := false
	err = r.meta.Update(ctx, func(tx meta.Tx) error {
		var size int64
		size, mounted, err = source.find(tx)
		if err != nil || !mounted {
			return err
		}
		return tx.LinkBlob(repo, d, size, r.opts.Now())
	})
	if err != nil {
		return false, fault("mount blob", err)
	}
	return mounted, nil
}

// mountSource is where a blob may be mounted from.
type mountSource struct {
	digest oci.Digest
	from   string
	guard  Guard
}

// holders returns the repositories to look at.
func (s mountSource) holders(tx meta.Tx, limit int) ([]string, error) {
	if s.from != "" {
		return []string{s.from}, nil
	}
	return tx.BlobHolders(s.digest, "", limit)
}

// exists reports whether there may be a source at all; it asks nobody.
func (s mountSource) exists(tx meta.Tx) (bool, error) {
	repos, err := s.holders(tx, 1)
	if err != nil || len(repos) == 0 {
		return false, err
	}
	_, err = tx.BlobSize(repos[0], s.digest)
	if errors.Is(err, meta.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// find returns the size of the blob in the first source that the guard allows.
func (s mountSource) find(tx meta.Tx) (size int64, found bool, err error) {
	repos, err := s.holders(tx, maxHolders)
	if err != nil {
		return 0, false, err
	}
	var unauthorized error // a source that better credentials would open
	for _, repo := range repos {
		if err := s.guard(Effect{Action: ReadBlob, Repo: repo}); err != nil {
			if errors.Is(err, oci.ErrUnauthorized) && unauthorized == nil {
				unauthorized = err
			}
			continue
		}
		size, err := tx.BlobSize(repo, s.digest)
		if errors.Is(err, meta.ErrNotFound) {
			continue
		}
		return size, err == nil, err
	}
	return 0, false, unauthorized
}
