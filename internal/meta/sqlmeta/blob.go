package sqlmeta

import (
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

const (
	selectBlobSize = `
SELECT b.size
FROM repositories r
JOIN blob_links l ON l.repo = r.id
JOIN blobs b ON b.digest = l.digest
WHERE r.name = ? AND l.digest = ?`

	insertBlob = `
INSERT INTO blobs (digest, size, created_at) VALUES (?, ?, ?)
ON CONFLICT (digest) DO NOTHING`

	// A link that is made again counts as new: its content is about to be used.
	insertBlobLink = `
INSERT INTO blob_links (repo, repo_name, digest, linked_at) VALUES (?, ?, ?, ?)
ON CONFLICT (repo, digest) DO UPDATE SET linked_at = excluded.linked_at`

	deleteBlobLink = `
DELETE FROM blob_links
WHERE repo = (SELECT id FROM repositories WHERE name = ?) AND digest = ?`

	selectBlobHolders = `
SELECT repo_name FROM blob_links
WHERE digest = ? AND repo_name > ?
ORDER BY repo_name LIMIT ?`

	selectHeldBlobs = `
SELECT digest FROM blob_links
WHERE repo = (SELECT id FROM repositories WHERE name = ?) AND digest IN`
)

// BlobSize implements meta.Blobs.
func (t *tx) BlobSize(repo string, d oci.Digest) (int64, error) {
	return value[int64](t, selectBlobSize, repo, d)
}

// LinkBlob implements meta.Blobs.
func (t *tx) LinkBlob(repo string, d oci.Digest, size int64, now time.Time) error {
	id, err := t.ensureRepository(repo)
	if err != nil {
		return err
	}
	if _, err := t.exec(insertBlob, d, size, micros(now)); err != nil {
		return err
	}
	_, err = t.exec(insertBlobLink, id, repo, d, micros(now))
	return err
}

// UnlinkBlob implements meta.Blobs.
func (t *tx) UnlinkBlob(repo string, d oci.Digest, review time.Time) error {
	if err := t.execOne(deleteBlobLink, repo, d); err != nil {
		return err
	}
	return t.ReviewBlob(meta.Review{Digest: d, At: review})
}

// BlobHolders implements meta.Blobs.
func (t *tx) BlobHolders(d oci.Digest, after string, limit int) ([]string, error) {
	return list(t, column[string], selectBlobHolders, d, after, max(limit, 0))
}

// MissingBlobs implements meta.Blobs.
func (t *tx) MissingBlobs(repo string, ds []oci.Digest) ([]oci.Digest, error) {
	return t.missing(selectHeldBlobs, repo, ds)
}

// micros and fromMicros convert times to and from how they are stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
