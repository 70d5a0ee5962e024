package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// SessionKey names an upload session. All three must be right: to others than
// its owner a session does not exist.
type SessionKey struct {
	Repo  string
	Owner string // who started it; "" is anybody without a name
	ID    string
}

// Chunk is a part of a blob that a client sends.
type Chunk struct {
	Start  int64     // the offset it says it begins at; -1 if it does not say
	Length int64     // how many bytes it says it has; -1 if it does not say
	Body   io.Reader // its bytes; may be empty
}

// StartUpload opens an upload session and returns its key.
// algorithm is what the blob's digest will be of; "" for sha256.
//
// Errors: TooManyRequests.
func (r *Registry) StartUpload(ctx context.Context, repo, owner string, algorithm oci.Algorithm) (SessionKey, error) {
	if algorithm == "" {
		algorithm = oci.SHA256
	}
	key := SessionKey{Repo: repo, Owner: owner, ID: r.opts.NewID()}
	err := r.meta.UpdateRelaxed(ctx, func(tx meta.Tx) error {
		n, err := tx.CountUploads(owner)
		if err != nil {
			return err
		}
		if n >= r.opts.UploadsPerOwner {
			return oci.Errorf(oci.TooManyRequests, "you have %d unfinished uploads: finish or cancel some, or wait until they expire", n)
		}
		now := r.opts.Now()
		return tx.SaveUpload(meta.Upload{
			Repo: repo, Owner: owner, State: blob.State{ID: key.ID, Algorithm: algorithm},
			StartedAt: now, ExpiresAt: now.Add(r.opts.UploadExpiry),
		})
	})
	if err != nil {
		return SessionKey{}, fault("start upload", err)
	}
	return key, nil
}

// UploadOffset returns how many bytes of a session have been taken.
//
// Errors: BlobUploadUnknown.
func (r *Registry) UploadOffset(ctx context.Context, key SessionKey) (int64, error) {
	session, err := r.lookUp(ctx, key)
	return session.State.Offset, err
}

// UploadStart returns when a session was started.
//
// Errors: BlobUploadUnknown.
func (r *Registry) UploadStart(ctx context.Context, key SessionKey) (time.Time, error) {
	session, err := r.lookUp(ctx, key)
	return session.StartedAt, err
}

func (r *Registry) lookUp(ctx context.Context, key SessionKey) (meta.Upload, error) {
	var session meta.Upload
	err := r.meta.View(ctx, func(tx meta.Tx) error {
		var err error
		session, err = r.find(tx, key)
		return err
	})
	if err != nil {
		return meta.Upload{}, fault("look up upload", err)
	}
	return session, nil
}

// AppendUpload adds a chunk to a session and returns the new offset. With
// RangeInvalid it returns the offset that the session has.
//
// Errors: BlobUploadUnknown, BlobUploadBusy, RangeInvalid, SizeInvalid, NoSpace.
func (r *Registry) AppendUpload(ctx context.Context, key SessionKey, c Chunk) (int64, error) {
	w, session, err := r.take(ctx, key, c.Start)
	if err != nil {
		return session.State.Offset, err
	}
	if err := w.append(ctx, c.Body, c.Length); err != nil {
		return 0, err
	}
	state, err := w.upload.State()
	if err != nil {
		return 0, fault("read upload", errors.Join(err, w.upload.Close(), w.release(ctx, session.State)))
	}
	return state.Offset, w.keep(context.WithoutCancel(ctx))
}

// FinishUpload adds a last chunk, checks the digest of the whole, and lets the
// repository hold the blob. When it returns nil, the blob is on stable storage.
// With a wrong digest the session and its bytes are dropped.
//
// Errors: BlobUploadUnknown, BlobUploadBusy, RangeInvalid (with the offset that
// the session has), SizeInvalid, DigestInvalid, NoSpace.
func (r *Registry) FinishUpload(ctx context.Context, key SessionKey, c Chunk, d oci.Digest) (int64, error) {
	w, session, err := r.take(ctx, key, c.Start)
	if err != nil {
		return session.State.Offset, err
	}
	if err := w.append(ctx, c.Body, c.Length); err != nil {
		return 0, err
	}
	// From here on the client's going away changes nothing any more.
	ctx = context.WithoutCancel(ctx)
	err = w.alive(ctx, func() error {
		return r.commit(ctx, key.Repo, w.upload, d, func(tx meta.Tx) error {
			if err := w.holds(tx); err != nil {
				return err
			}
			return tx.DeleteUpload(key.ID)
		})
	})
	switch {
	case errors.Is(err, oci.ErrDigestInvalid):
		return 0, errors.Join(err, w.cancel(ctx))
	case err != nil:
		return 0, errors.Join(err, w.keep(ctx))
	default:
		return 0, nil
	}
}

// CancelUpload drops a session and its bytes.
//
// Errors: BlobUploadUnknown, BlobUploadBusy.
func (r *Registry) CancelUpload(ctx context.Context, key SessionKey) error {
	w, session, err := r.lease(ctx, key, -1)
	if err != nil {
		return err
	}
	// From the start: what is there need not be read in order to be dropped.
	fresh := blob.State{ID: key.ID, Algorithm: session.State.Algorithm}
	if w.upload, err = r.blobs.Upload(ctx, fresh); err != nil {
		return errors.Join(fault("open upload", err), w.release(context.WithoutCancel(ctx), session.State))
	}
	return w.cancel(ctx)
}

// PushBlob stores a blob of length bytes, or of any length if it is -1, that
// comes in one piece, without a session.
//
// Errors: SizeInvalid, DigestInvalid, NoSpace.
func (r *Registry) PushBlob(ctx context.Context, repo string, d oci.Digest, length int64, body io.Reader) error {
	up, err := r.blobs.Upload(ctx, blob.State{ID: r.opts.NewID(), Algorithm: d.Algorithm()})
	if err != nil {
		return fault("open upload", err)
	}
	cancel := func() error { return up.Cancel(context.WithoutCancel(ctx)) }
	n, err := up.Append(ctx, &bodyReader{ctx: ctx, body: body})
	if err != nil {
		return errors.Join(fault("push blob", err), cancel())
	}
	if length >= 0 && n != length {
		return errors.Join(oci.Errorf(oci.SizeInvalid, "the blob has %d bytes, %d were announced", n, length), cancel())
	}
	ctx = context.WithoutCancel(ctx)
	if err := r.commit(ctx, repo, up, d, func(meta.Tx) error { return nil }); err != nil {
		return errors.Join(err, cancel())
	}
	return nil
}

// commit stores what was uploaded under its digest, and then links it, together
// with the change in also. The lock keeps garbage collection from taking the
// content away between the two.
func (r *Registry) commit(ctx context.Context, repo string, up blob.Upload, d oci.Digest, also func(meta.Tx) error) error {
	state, err := up.State()
	if err != nil {
		return fault("read upload", err)
	}
	unlock, err := r.meta.LockBlob(ctx, d)
	if err != nil {
		return fault("lock blob", err)
	}
	defer unlock()
	err = up.Commit(ctx, d)
	if errors.Is(err, blob.ErrMismatch) {
		return oci.ErrDigestInvalid.WithDetail(map[string]any{"digest": d, "size": state.Offset}).Because(err)
	}
	if err != nil {
		return fault("store blob", err)
	}
	var refused error
	err = r.meta.Update(ctx, func(tx meta.Tx) error {
		if refused = also(tx); refused == nil {
			refused = tx.LinkBlob(repo, d, state.Offset, r.opts.Now())
		}
		return refused
	})
	switch {
	case err == nil:
		return nil
	case refused != nil || errors.Is(err, meta.ErrNoSpace):
		return errors.Join(fault("link blob", err), r.dropUnlinked(ctx, d))
	default:
		// Whether it was committed is not known. Content without a link does no
		// harm; a link without its content would.
		return fault("link blob", err)
	}
}

// dropUnlinked removes content that no repository holds, nor has let go within its
// grace. The caller has the lock of d.
//
// It looks in an update, though it changes nothing: that fails while the store does
// not know what was committed, when a link may be there that a view does not find.
func (r *Registry) dropUnlinked(ctx context.Context, d oci.Digest) error {
	wanted := false
	err := r.meta.UpdateRelaxed(ctx, func(tx meta.Tx) (err error) {
		wanted, err = isWanted(tx, d)
		return err
	})
	if err != nil || wanted {
		return err
	}
	return r.blobs.Delete(ctx, d)
}

// isWanted reports whether anybody holds d, or garbage collection will look at it.
func isWanted(tx meta.Tx, d oci.Digest) (bool, error) {
	holders, err := tx.BlobHolders(d, "", 1)
	if err != nil || len(holders) > 0 {
		return true, err
	}
	_, err = tx.BlobReview(d)
	if errors.Is(err, meta.ErrNotFound) {
		return false, nil
	}
	return true, err
}

// atLeast words a count that was stopped one past the limit.
func atLeast(n, limit int64) string {
	if n > limit {
		return fmt.Sprintf("more than %d", limit)
	}
	return fmt.Sprint(n)
}
