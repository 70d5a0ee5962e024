package meta

import (
	"time"

	"github.com/moorgate/moorgate/internal/oci"
)

// Review is a blob to look at: does anybody hold it still?
type Review struct {
	Digest oci.Digest
	At     time.Time // not before
}

// Reviews is the queue of blobs to look at. UnlinkBlob puts a blob there; so does
// who finds content that nobody holds. Whoever looks at one holds LockBlob for it.
type Reviews interface {
	// ReviewBlob puts a blob on the queue, be it known or not. If it is there
	// already, the later time counts.
	ReviewBlob(r Review) error

	// BlobReview returns from when on d is to be looked at.
	//
	// Errors: ErrNotFound if it is not on the queue.
	BlobReview(d oci.Digest) (time.Time, error)

	// DueReviews returns at most limit reviews whose time is not after now,
	// ordered by time, then by the bytes of the digest, starting behind after
	// (the zero Review for all).
	DueReviews(now time.Time, after Review, limit int) ([]Review, error)

	// DropReview takes d off the queue. If no repository holds d, all that is
	// known of it goes too. That it is not there is no error.
	DropReview(d oci.Digest) error
}
