// Package gc removes what nothing refers to any more.
package gc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/meta"
)

// Uploads removes upload sessions that have expired, and the bytes of uploads
// that no session knows: those of pushes in one piece that a crash cut off.
type Uploads struct {
	Blobs  blob.Store
	Meta   meta.Store
	Log    *slog.Logger
	Every  time.Duration    // how often to look
	Expiry time.Duration    // how long an upload may rest
	Now    func() time.Time // the clock
}

// batch is how many entries of the metadata are read at a time.
const batch = 100

// Run removes expired uploads now and then, until ctx ends.
func (u *Uploads) Run(ctx context.Context) {
	tick := time.NewTicker(u.Every)
	defer tick.Stop()
	for {
		if n, err := u.Once(ctx); err != nil && ctx.Err() == nil {
			u.Log.ErrorContext(ctx, "cannot remove expired uploads", "removed", n, "err", err)
		} else if n > 0 {
			u.Log.InfoContext(ctx, "removed expired uploads", "removed", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Once removes what has expired by now and returns how many uploads that were.
func (u *Uploads) Once(ctx context.Context) (int, error) {
	expired, err := u.sessions(ctx)
	if err != nil {
		return expired, err
	}
	abandoned, err := u.abandoned(ctx)
	return expired + abandoned, err
}

func (u *Uploads) sessions(ctx context.Context) (removed int, err error) {
	for {
		var list []meta.Upload
		err := u.Meta.View(ctx, func(tx meta.Tx) error {
			var err error
			list, err = tx.ExpiredUploads(u.Now(), batch)
			return err
		})
		if err != nil || len(list) == 0 {
			return removed, err
		}
		for _, session := range list {
			gone, err := u.remove(ctx, session.State.ID)
			if err != nil {
				return removed, err
			}
			if gone {
				removed++
			}
		}
	}
}

// remove takes the session away first, so that nobody goes on with bytes that
// are about to go. It reports whether it removed the upload.
func (u *Uploads) remove(ctx context.Context, id string) (bool, error) {
	err := u.Meta.UpdateRelaxed(ctx, func(tx meta.Tx) error {
		session, err := tx.Upload(id)
		if errors.Is(err, meta.ErrNotFound) || err == nil && session.ExpiresAt.After(u.Now()) {
			return nil // it ended, or went on, meanwhile
		}
		if err != nil {
			return err
		}
		return tx.DeleteUpload(id)
	})
	if err != nil {
		return false, fmt.Errorf("remove upload session: %w", err)
	}
	return u.discard(ctx, id)
}

// discard removes the bytes of an upload unless a session knows it, and reports
// whether it did.
func (u *Uploads) discard(ctx context.Context, id string) (bool, error) {
	err := u.Meta.View(ctx, func(tx meta.Tx) error {
		_, err := tx.Upload(id)
		return err
	})
	if !errors.Is(err, meta.ErrNotFound) {
		return false, err
	}
	up, err := u.Blobs.Upload(ctx, blob.State{ID: id, Algorithm: "sha256"})
	if err != nil {
		return false, fmt.Errorf("remove upload: %w", err)
	}
	return true, up.Cancel(ctx)
}

func (u *Uploads) abandoned(ctx context.Context) (removed int, err error) {
	for id, err := range u.Blobs.Abandoned(ctx, u.Now().Add(-u.Expiry)) {
		if err != nil {
			return removed, err
		}
		gone, err := u.discard(ctx, id)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}
