package sqlmeta

import (
	"database/sql"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

const (
	upsertReview = `
INSERT INTO blob_reviews (digest, due_at) VALUES (?, ?)
ON CONFLICT (digest) DO UPDATE SET due_at = excluded.due_at
WHERE excluded.due_at > blob_reviews.due_at`

	selectReview = `SELECT due_at FROM blob_reviews WHERE digest = ?`

	selectDueReviews = `
SELECT digest, due_at FROM blob_reviews
WHERE due_at <= ? AND (due_at, digest) > (?, ?)
ORDER BY due_at, digest LIMIT ?`

	deleteReview = `DELETE FROM blob_reviews WHERE digest = ?`

	deleteUnheldBlob = `
DELETE FROM blobs
WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = blobs.digest)`
)

// ReviewBlob implements meta.Reviews.
func (t *tx) ReviewBlob(r meta.Review) error {
	_, err := t.exec(upsertReview, r.Digest, micros(r.At))
	return err
}

// BlobReview implements meta.Reviews.
func (t *tx) BlobReview(d oci.Digest) (time.Time, error) {
	at, err := value[int64](t, selectReview, d)
	if err != nil {
		return time.Time{}, err
	}
	return fromMicros(at), nil
}

// DueReviews implements meta.Reviews.
func (t *tx) DueReviews(now time.Time, after meta.Review, limit int) ([]meta.Review, error) {
	return list(t, scanReview, selectDueReviews, micros(now), micros(after.At), after.Digest, max(limit, 0))
}

// DropReview implements meta.Reviews.
func (t *tx) DropReview(d oci.Digest) error {
	if _, err := t.exec(deleteReview, d); err != nil {
		return err
	}
	_, err := t.exec(deleteUnheldBlob, d)
	return err
}

func scanReview(rows *sql.Rows) (r meta.Review, err error) {
	var at int64
	err = rows.Scan(&r.Digest, &at)
	r.At = fromMicros(at)
	return r, err
}
