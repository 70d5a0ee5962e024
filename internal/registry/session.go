package registry

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// leaseTime is how long a request that writes to a session keeps others out
// without giving a sign of life.
const leaseTime = time.Minute

// writer is the one request that writes to a session: it holds the lease from
// take to keep or end.
type writer struct {
	r       *Registry
	session meta.Upload
	upload  blob.Upload
	renewAt time.Time
}

// take makes the caller the one writer of a session and opens its upload.
//
// Errors: those of lease.
func (r *Registry) take(ctx context.Context, key SessionKey, start int64) (*writer, meta.Upload, error) {
	w, session, err := r.lease(ctx, key, start)
	if err != nil {
		return nil, session, err
	}
	err = w.alive(ctx, func() error { // after a restart, all its bytes are read
		w.upload, err = r.blobs.Upload(ctx, session.State)
		return err
	})
	ctx = context.WithoutCancel(ctx)
	if errors.Is(err, blob.ErrNotFound) { // its bytes did not outlive a crash
		return nil, session, errors.Join(oci.ErrBlobUploadUnknown, w.forget(ctx))
	}
	if err != nil {
		return nil, session, errors.Join(fault("open upload", err), w.release(ctx, session.State))
	}
	return w, session, nil
}

// lease makes the caller the one writer of a session.
//
// Errors: BlobUploadUnknown, BlobUploadBusy, RangeInvalid if start is neither
// -1 nor the offset. The session is returned with the last one too.
func (r *Registry) lease(ctx context.Context, key SessionKey, start int64) (*writer, meta.Upload, error) {
	lease := r.opts.NewID()
	var session meta.Upload
	err := r.meta.UpdateRelaxed(ctx, func(tx meta.Tx) error {
		var err error
		if session, err = r.find(tx, key); err != nil {
			return err
		}
		now := r.opts.Now()
		if session.LeaseBy != "" && now.Before(session.LeaseUntil) {
			return oci.Errorf(oci.BlobUploadBusy, "another request is writing to this upload: wait for it, or start a new upload")
		}
		if start >= 0 && start != session.State.Offset {
			return oci.Errorf(oci.RangeInvalid, "the chunk begins at byte %d, the upload continues at byte %d", start, session.State.Offset)
		}
		session.LeaseBy, session.LeaseUntil = lease, now.Add(leaseTime)
		session.ExpiresAt = now.Add(r.opts.UploadExpiry)
		return tx.SaveUpload(session)
	})
	if err != nil {
		return nil, session, fault("take upload", err)
	}
	return &writer{r: r, session: session, renewAt: r.opts.Now().Add(leaseTime / 2)}, session, nil
}

// find returns a session if it is the caller's.
func (r *Registry) find(tx meta.Tx, key SessionKey) (meta.Upload, error) {
	u, err := tx.Upload(key.ID)
	if errors.Is(err, meta.ErrNotFound) {
		return meta.Upload{}, oci.ErrBlobUploadUnknown
	}
	if err != nil {
		return meta.Upload{}, err
	}
	if u.Repo != key.Repo || u.Owner != key.Owner || !r.opts.Now().Before(u.ExpiresAt) {
		return meta.Upload{}, oci.ErrBlobUploadUnknown
	}
	return u, nil
}

// append takes a body of length bytes, or of any length if it is -1. What came
// before an error of the body is kept, so that the client can go on from there;
// a body of another length than announced leaves the session as it was.
func (w *writer) append(ctx context.Context, body io.Reader, length int64) error {
	if length >= 0 {
		body = io.LimitReader(body, length+1)
	}
	n, err := w.upload.Append(ctx, &bodyReader{ctx: ctx, body: body, w: w})
	if err == nil && length >= 0 && n != length {
		before := w.session.State
		return errors.Join(
			oci.Errorf(oci.SizeInvalid, "the chunk has %s bytes, %d were announced", atLeast(n, length), length),
			w.upload.Close(), w.release(context.WithoutCancel(ctx), before))
	}
	if errors.Is(err, blob.ErrNoSpace) {
		return errors.Join(fault("append to upload", err), w.giveBack(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return errors.Join(fault("append to upload", err), w.keep(context.WithoutCancel(ctx)))
	}
	return nil
}

// giveBack drops the bytes of a chunk that found no room, for they take the room
// that even the end of the session needs.
func (w *writer) giveBack(ctx context.Context) error {
	before := w.session.State
	err := w.upload.Close()
	if err == nil {
		w.upload, err = w.r.blobs.Upload(ctx, before) // which cuts off what is behind the offset
	}
	if err == nil {
		err = w.upload.Close()
	}
	if err != nil {
		err = fault("drop a chunk", err)
	}
	return errors.Join(err, w.release(ctx, before))
}

// keep saves how far the session has come and lets others write to it.
func (w *writer) keep(ctx context.Context) error {
	state, err := w.upload.State()
	if err != nil {
		return fault("save upload", errors.Join(err, w.upload.Close(), w.release(ctx, w.session.State)))
	}
	if err := w.upload.Close(); err != nil {
		return fault("close upload", errors.Join(err, w.release(ctx, w.session.State)))
	}
	return w.release(ctx, state)
}

// release saves a state of the session and ends the lease. The session rests
// from now on.
func (w *writer) release(ctx context.Context, state blob.State) error {
	return w.change(ctx, func(u *meta.Upload) {
		u.State, u.LeaseBy, u.LeaseUntil = state, "", time.Time{}
		u.ExpiresAt = w.r.opts.Now().Add(w.r.opts.UploadExpiry)
	})
}

// renew tells others that the writer is alive, if it has not done so lately.
func (w *writer) renew(ctx context.Context) error {
	now := w.r.opts.Now()
	if now.Before(w.renewAt) {
		return nil
	}
	w.renewAt = now.Add(leaseTime / 2)
	return w.extend(ctx)
}

func (w *writer) extend(ctx context.Context) error {
	now := w.r.opts.Now()
	return w.change(ctx, func(u *meta.Upload) {
		u.LeaseUntil, u.ExpiresAt = now.Add(leaseTime), now.Add(w.r.opts.UploadExpiry)
	})
}

// alive runs something that reads no body and may take long, and tells others
// meanwhile that the writer is alive.
func (w *writer) alive(ctx context.Context, long func() error) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(leaseTime / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = w.extend(ctx) // a lost lease is noticed where it matters
			}
		}
	}()
	err := long()
	stop()
	<-stopped
	return err
}

// change rewrites the session if the writer still holds its lease.
func (w *writer) change(ctx context.Context, edit func(*meta.Upload)) error {
	err := w.r.meta.UpdateRelaxed(ctx, func(tx meta.Tx) error {
		if err := w.holds(tx); err != nil {
			return err
		}
		u := w.session
		edit(&u)
		return tx.SaveUpload(u)
	})
	if err != nil {
		return fault("save upload", err)
	}
	return nil
}

// holds fails unless the lease is still this writer's.
func (w *writer) holds(tx meta.Tx) error {
	u, err := tx.Upload(w.session.State.ID)
	if errors.Is(err, meta.ErrNotFound) {
		return oci.ErrBlobUploadUnknown
	}
	if err != nil {
		return err
	}
	if u.LeaseBy != w.session.LeaseBy {
		return oci.Errorf(oci.BlobUploadBusy, "another request has taken over this upload")
	}
	return nil
}

// forget removes the session.
func (w *writer) forget(ctx context.Context) error {
	err := w.r.meta.UpdateRelaxed(ctx, func(tx meta.Tx) error { return tx.DeleteUpload(w.session.State.ID) })
	if err != nil {
		return fault("forget upload", err)
	}
	return nil
}

// cancel removes the session and its bytes.
func (w *writer) cancel(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := w.upload.Cancel(ctx); err != nil {
		return fault("cancel upload", errors.Join(err, w.release(ctx, w.session.State)))
	}
	return w.forget(ctx)
}

// bodyReader marks the errors of a request body as the client's, and keeps the
// lease alive while the body moves.
type bodyReader struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the one call it is made for
	body io.Reader
	w    *writer // nil if there is no session
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, oci.Errorf(oci.SizeInvalid, "the request body ended early").Because(err)
	}
	if b.w != nil {
		if renewErr := b.w.renew(b.ctx); renewErr != nil {
			return n, renewErr
		}
	}
	return n, err //nolint:wrapcheck // io.EOF
}
