package gc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Blobs removes the content of blobs that no repository holds any more, when the
// time of their review has come. NewBlobs makes one.
type Blobs struct {
	blobs blob.Store
	meta  meta.Store
	opts  BlobsOptions
	wake  chan struct{} // has room for one: somebody asks for a look
	sick  bool          // the last look failed, and the log says so
}

// BlobsOptions say how Blobs works. All fields but Rest, Pause and Jitter are needed.
type BlobsOptions struct {
	Log   *slog.Logger
	Every time.Duration    // how often to look for reviews that are due
	Now   func() time.Time // the clock
	Rest  time.Duration    // after a look that somebody woke it for, at least

	SweepEvery time.Duration        // how often to walk over all content
	Jitter     func() time.Duration // added to SweepEvery; nil: nothing
	FreeAfter  time.Duration        // a sweep leaves younger content alone
	Pause      time.Duration        // between the batches of a sweep, at least
}

// NewBlobs returns a Blobs on two stores, which stay the caller's to close.
func NewBlobs(blobs blob.Store, store meta.Store, opts BlobsOptions) *Blobs {
	if opts.Jitter == nil {
		opts.Jitter = func() time.Duration { return 0 }
	}
	return &Blobs{blobs: blobs, meta: store, opts: opts, wake: make(chan struct{}, 1)}
}

// Freed is what was removed.
type Freed struct {
	Blobs int
	Bytes int64
}

// Wake asks for a look at what is due, now: the disk is full. It does not wait.
func (b *Blobs) Wake() {
	select {
	case b.wake <- struct{}{}:
	default: // somebody has asked already
	}
}

// Run looks at what is due now and then, and when it is woken, until ctx ends. Who
// pushes to a full disk over and over does not keep it busy: it rests in between.
func (b *Blobs) Run(ctx context.Context) {
	tick := time.NewTicker(b.opts.Every)
	defer tick.Stop()
	for pause := time.Duration(0); ; {
		freed, err := b.Once(ctx)
		b.report(ctx, freed, err)
		if rest(ctx, pause) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			pause = 0
		case <-b.wake:
			pause = b.opts.Rest
		}
	}
}

// report logs what a look has done. A trouble that stays, such as a full disk, is
// logged when it begins.
func (b *Blobs) report(ctx context.Context, freed Freed, err error) {
	b.tell(ctx, freed)
	if ctx.Err() != nil {
		return
	}
	if err != nil && !b.sick {
		b.opts.Log.ErrorContext(ctx, "cannot remove all content that no repository holds: it is tried again", "err", err)
	}
	b.sick = err != nil
}

// tell logs what was removed, if anything.
func (b *Blobs) tell(ctx context.Context, freed Freed) {
	if freed.Blobs > 0 {
		b.opts.Log.InfoContext(ctx, "removed content that no repository holds", "blobs", freed.Blobs, "bytes", freed.Bytes)
	}
}

// Once looks at all that is due by now and returns what it has removed. What
// fails does not keep it from the rest, and stays on the queue; the error is the
// first.
func (b *Blobs) Once(ctx context.Context) (freed Freed, first error) {
	now := b.opts.Now()
	for after := (meta.Review{}); ; {
		list, err := b.due(ctx, now, after)
		if err != nil || len(list) == 0 {
			return freed, errors.Join(first, err)
		}
		for _, r := range list {
			if err := b.review(ctx, r.Digest, isDue(now), &freed); err != nil && first == nil {
				first = fmt.Errorf("review blob %s: %w", r.Digest, err)
			}
		}
		after = list[len(list)-1]
	}
}

// due returns the next batch of reviews.
func (b *Blobs) due(ctx context.Context, now time.Time, after meta.Review) (list []meta.Review, err error) {
	err = b.meta.View(ctx, func(tx meta.Tx) error {
		list, err = tx.DueReviews(now, after, batch)
		return err
	})
	return list, err
}

// review removes the content of d if nobody holds it, and then the review, all of
// it only while wanted says so.
//
// The first look is in an update, though it changes nothing. It fails while the
// store does not know what was committed: then a link may be there that a view
// does not find. On a full disk it does not fail.
//
// In this order a crash in between leaves a review of content that is gone, which
// does no harm; the other way round it would leave content that nobody looks at
// again. And when the metadata cannot be written because the disk is full, the
// space is freed all the same.
//
// Nobody can link d meanwhile, because of the lock. But who holds it may let it
// go, which asks for a new review: so the second transaction looks again.
func (b *Blobs) review(ctx context.Context, d oci.Digest, wanted func(state) bool, freed *Freed) error {
	unlock, err := b.meta.LockBlob(ctx, d)
	if err != nil {
		return err
	}
	defer unlock()
	var found state
	err = b.meta.UpdateRelaxed(ctx, func(tx meta.Tx) (err error) {
		found, err = look(tx, d)
		return err
	})
	if err != nil || !wanted(found) {
		return err
	}
	if !found.held {
		if err := b.remove(ctx, d, freed); err != nil {
			return err
		}
	}
	// Relaxed, for the same reason: a review that comes back finds nothing.
	return b.meta.UpdateRelaxed(ctx, func(tx meta.Tx) error {
		again, err := look(tx, d)
		if err != nil || !wanted(again) || again.held != found.held {
			return err
		}
		return tx.DropReview(d)
	})
}

// state is what is known of a blob.
type state struct {
	held     bool // by any repository
	reviewed bool // on the queue
	at       time.Time
}

// isDue is true of blobs whose review is due.
func isDue(now time.Time) func(state) bool {
	return func(s state) bool { return s.reviewed && !s.at.After(now) }
}

// isLost is true of content that nobody holds, and nobody will look at either.
func isLost(s state) bool { return !s.held && !s.reviewed }

func look(tx meta.Tx, d oci.Digest) (s state, err error) {
	if s.held, err = isHeld(tx, d); err != nil {
		return state{}, err
	}
	s.at, err = tx.BlobReview(d)
	s.reviewed = err == nil
	if errors.Is(err, meta.ErrNotFound) {
		err = nil
	}
	return s, err
}

func isHeld(tx meta.Tx, d oci.Digest) (bool, error) {
	holders, err := tx.BlobHolders(d, "", 1)
	return len(holders) > 0, err
}

// remove deletes content, if it is there, and counts it.
func (b *Blobs) remove(ctx context.Context, d oci.Digest, freed *Freed) error {
	size, err := b.blobs.Stat(ctx, d)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := b.blobs.Delete(ctx, d); err != nil {
		return err
	}
	freed.Blobs++
	freed.Bytes += size
	return nil
}
