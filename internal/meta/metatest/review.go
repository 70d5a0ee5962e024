package metatest

import (
	"slices"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

func reviewTests() []test {
	return []test{
		{"review is due from its time on", reviewDue},
		{"reviews come in the order of their times and in pages", reviewPages},
		{"review that is asked for again is at the later time", reviewAgain},
		{"review of a blob begins when a repository lets go", reviewUnlink},
		{"review that is dropped is gone, and the blob if nobody holds it", reviewDrop},
		{"review that is dropped leaves a blob that is held", reviewDropHeld},
	}
}

func review(name any, after time.Duration) meta.Review {
	return meta.Review{Digest: digest(name), At: later(after)}
}

func saveReviews(rs ...meta.Review) func(meta.Tx) error {
	return func(tx meta.Tx) error {
		for _, r := range rs {
			if err := tx.ReviewBlob(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// due asks for the reviews that are due at a time.
func due(at time.Time) func(meta.Tx) ([]meta.Review, error) {
	return func(tx meta.Tx) ([]meta.Review, error) { return tx.DueReviews(at, meta.Review{}, 100) }
}

func unlink(repo string, r meta.Review) func(meta.Tx) error {
	return func(tx meta.Tx) error { return tx.UnlinkBlob(repo, r.Digest, r.At) }
}

// wantNoReview checks that nothing is on the queue, and d is not either.
func wantNoReview(t *testing.T, s meta.Store, d oci.Digest) {
	t.Helper()
	wantAnswer(t, s, "the queue", []meta.Review{}, due(later(1000*time.Hour)))
	wantError(t, s, "BlobReview", meta.ErrNotFound, func(tx meta.Tx) error {
		_, err := tx.BlobReview(d)
		return err
	})
}

func reviewDue(t *testing.T, s meta.Store) {
	r := review("x", time.Hour)
	wantNoReview(t, s, r.Digest)
	update(t, s, saveReviews(r))
	wantAnswer(t, s, "before its time", []meta.Review{}, due(r.At.Add(-time.Microsecond)))
	wantAnswer(t, s, "at its time", []meta.Review{r}, due(r.At))
	wantAnswer(t, s, "the time", r.At, func(tx meta.Tx) (time.Time, error) { return tx.BlobReview(r.Digest) })
}

func reviewPages(t *testing.T, s meta.Store) {
	var want []meta.Review
	for i := range 7 {
		want = append(want, review(i, time.Duration(i/3)*time.Second)) // some at the same time
	}
	want = append(want, meta.Review{Digest: oci.SHA512.FromString("x"), At: later(2 * time.Second)})
	update(t, s, saveReviews(want...))
	update(t, s, saveReviews(review("future", time.Hour)))
	slices.SortFunc(want, func(a, b meta.Review) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.Digest), []byte(b.Digest))
	})
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []meta.Review
		after := meta.Review{}
		for {
			page := ask(t, s, func(tx meta.Tx) ([]meta.Review, error) { return tx.DueReviews(later(time.Minute), after, limit) })
			if len(page) == 0 {
				break
			}
			if len(page) > limit || len(got) > len(want) {
				t.Fatalf("pages of %d: %d entries, after %d", limit, len(page), len(got))
			}
			got, after = append(got, page...), page[len(page)-1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
}

func reviewAgain(t *testing.T, s meta.Store) {
	for _, r := range []meta.Review{review("x", time.Minute), review("x", time.Second), review("x", time.Hour)} {
		update(t, s, saveReviews(r))
	}
	update(t, s, saveReviews(review("x", 0)))
	wantAnswer(t, s, "the queue", []meta.Review{review("x", time.Hour)}, due(later(2*time.Hour)))
}

func reviewUnlink(t *testing.T, s meta.Store) {
	r := review("x", time.Hour)
	for _, repo := range []string{"one", "two"} {
		update(t, s, func(tx meta.Tx) error { return tx.LinkBlob(repo, r.Digest, 1, now()) })
	}
	wantError(t, s, "UnlinkBlob of who does not hold it", meta.ErrNotFound, unlink("three", r))
	wantNoReview(t, s, r.Digest)
	update(t, s, unlink("one", r))
	wantAnswer(t, s, "one has let go", []meta.Review{r}, due(r.At))
	last := review("x", 2*time.Hour)
	update(t, s, unlink("two", last))
	wantAnswer(t, s, "both have let go", []meta.Review{last}, due(last.At))
	wantError(t, s, "an Update that fails", errTest, func(tx meta.Tx) error {
		if err := tx.LinkBlob("one", digest("y"), 1, now()); err != nil {
			return err
		}
		if err := tx.UnlinkBlob("one", digest("y"), now()); err != nil {
			return err
		}
		return errTest
	})
	wantAnswer(t, s, "after an Update that failed", []meta.Review{last}, due(last.At))
}

func reviewDrop(t *testing.T, s meta.Store) {
	r := review("x", 0)
	drop := func(tx meta.Tx) error { return tx.DropReview(r.Digest) }
	update(t, s, drop)
	update(t, s, saveReviews(r)) // of content that was never linked
	update(t, s, drop)
	wantNoReview(t, s, r.Digest)

	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", r.Digest, 1, now()) })
	update(t, s, unlink("app", r))
	update(t, s, drop)
	wantNoReview(t, s, r.Digest)
	wantNoBlob(t, s, "app", r.Digest)
	// What was known of it is gone: nobody remembers the size.
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", r.Digest, 2, now()) })
	wantAnswer(t, s, "size when it is back", 2, blobSize("app", r.Digest))
}

func reviewDropHeld(t *testing.T, s meta.Store) {
	r, other := review("x", 0), review("other", 0)
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", r.Digest, 5, now()) })
	update(t, s, saveReviews(r, other))
	update(t, s, func(tx meta.Tx) error { return tx.DropReview(r.Digest) })
	wantAnswer(t, s, "size", 5, blobSize("app", r.Digest))
	wantAnswer(t, s, "the other review", []meta.Review{other}, due(now()))
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("two", r.Digest, 5, now()) })
	wantAnswer(t, s, "size in another repository", 5, blobSize("two", r.Digest))
}
