package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// share is how much longer a sweep rests than it works: the disk
// has other things to do.
const share = 9

// RunSweeps walks over all content now, and each SweepEvery, until ctx ends.
func (b *Blobs) RunSweeps(ctx context.Context) {
	for {
		freed, err := b.Sweep(ctx)
		b.tell(ctx, freed)
		if err != nil && ctx.Err() == nil {
			b.opts.Log.ErrorContext(ctx, "cannot look at all content: some that no repository holds may stay until the next time", "err", err)
		}
		if rest(ctx, b.opts.SweepEvery+b.opts.Jitter()) != nil {
			return
		}
	}
}

// Sweep walks over all content and removes what is lost: nobody holds it, it is
// older than FreeAfter, and it is not on the queue. A push left it that was cut
// off between storing and linking, or it came back after a loss of power. It is
// not put on the queue first: on a full disk there is no room for that.
//
// A sweep rests most of the time and keeps nobody else waiting. What cannot be
// removed does not keep it from the rest; the error is the first.
func (b *Blobs) Sweep(ctx context.Context) (freed Freed, first error) {
	part := make([]oci.Digest, 0, batch)
	begin := b.opts.Now()
	before := begin.Add(-b.opts.FreeAfter)
	for info, err := range b.blobs.All(ctx) {
		if err != nil {
			return freed, errors.Join(first, err)
		}
		if info.Stored.Before(before) {
			part = append(part, info.Digest)
		}
		if len(part) < batch {
			continue
		}
		if err := b.sweep(ctx, part, &freed); err != nil && first == nil {
			first = err
		}
		part = part[:0]
		if err := rest(ctx, max(b.opts.Pause, share*b.opts.Now().Sub(begin))); err != nil {
			return freed, err
		}
		begin = b.opts.Now()
	}
	return freed, errors.Join(first, b.sweep(ctx, part, &freed))
}

// sweep removes those of ds that are lost. Most are held: they need no lock.
func (b *Blobs) sweep(ctx context.Context, ds []oci.Digest, freed *Freed) (first error) {
	var lost []oci.Digest
	err := b.meta.View(ctx, func(tx meta.Tx) error {
		lost = lost[:0]
		for _, d := range ds {
			found, err := look(tx, d)
			if err != nil {
				return err
			}
			if isLost(found) {
				lost = append(lost, d)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range lost {
		if err := b.review(ctx, d, isLost, freed); err != nil && first == nil {
			first = fmt.Errorf("remove blob %s: %w", d, err)
		}
	}
	return first
}

// rest waits. The error is that of ctx.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
