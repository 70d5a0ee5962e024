package sqlmeta

import (
	"database/sql"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

const (
	uploadColumns = `id, repo, owner, algorithm, byte_offset, hash_state, store_state,
    started_at, expires_at, lease_by, lease_until`

	selectUpload = `SELECT ` + uploadColumns + ` FROM uploads WHERE id = ?`

	// What a session never changes is compared, not set: setting a column costs
	// a page for each index that it is in, whether it changes or not.
	updateUpload = `
UPDATE uploads SET byte_offset = ?, hash_state = ?, store_state = ?, expires_at = ?, lease_by = ?, lease_until = ?
WHERE id = ? AND repo = ? AND owner = ? AND algorithm = ? AND started_at = ?`

	upsertUpload = `
INSERT INTO uploads (` + uploadColumns + `)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    repo = excluded.repo, owner = excluded.owner,
    algorithm = excluded.algorithm, byte_offset = excluded.byte_offset,
    hash_state = excluded.hash_state, store_state = excluded.store_state,
    started_at = excluded.started_at, expires_at = excluded.expires_at,
    lease_by = excluded.lease_by, lease_until = excluded.lease_until`

	deleteUpload = `DELETE FROM uploads WHERE id = ?`

	selectExpiredUploads = `
SELECT ` + uploadColumns + ` FROM uploads
WHERE expires_at < ? AND (lease_by = '' OR lease_until <= ?)
ORDER BY expires_at, id LIMIT ?`

	countUploads = `SELECT COUNT(*) FROM uploads WHERE owner = ?`

	clearLeases = `UPDATE uploads SET lease_by = '', lease_until = ? WHERE lease_by <> ''`
)

// Upload implements meta.Uploads.
func (t *tx) Upload(id string) (meta.Upload, error) {
	query := selectUpload
	if t.write {
		query += t.dialect.forUpdate
	}
	var r uploadRow
	if err := t.row(r.dest(), query, id); err != nil {
		return meta.Upload{}, err
	}
	return r.upload(), nil
}

// SaveUpload implements meta.Uploads.
func (t *tx) SaveUpload(u meta.Upload) error {
	n, err := t.exec(updateUpload,
		u.State.Offset, u.State.Hash, u.State.Store, micros(u.ExpiresAt), u.LeaseBy, micros(u.LeaseUntil),
		u.State.ID, u.Repo, u.Owner, string(u.State.Algorithm), micros(u.StartedAt))
	if err != nil || n > 0 {
		return err
	}
	_, err = t.exec(upsertUpload,
		u.State.ID, u.Repo, u.Owner, string(u.State.Algorithm), u.State.Offset, u.State.Hash, u.State.Store,
		micros(u.StartedAt), micros(u.ExpiresAt), u.LeaseBy, micros(u.LeaseUntil))
	return err
}

// DeleteUpload implements meta.Uploads.
func (t *tx) DeleteUpload(id string) error {
	_, err := t.exec(deleteUpload, id)
	return err
}

// ExpiredUploads implements meta.Uploads. A lease that has run out is held by
// nobody.
func (t *tx) ExpiredUploads(now time.Time, limit int) ([]meta.Upload, error) {
	return list(t, scanUpload, selectExpiredUploads, micros(now), micros(now), max(limit, 0))
}

// CountUploads implements meta.Uploads.
func (t *tx) CountUploads(owner string) (int, error) {
	return value[int](t, countUploads, owner)
}

// clearLeases ends all leases. They are those of a former process.
func (t *tx) clearLeases() error {
	_, err := t.exec(clearLeases, micros(time.Time{}))
	return err
}

// uploadRow takes the uploadColumns.
type uploadRow struct {
	u                                meta.Upload
	startedAt, expiresAt, leaseUntil int64
}

func (r *uploadRow) dest() []any {
	s := &r.u.State
	return []any{
		&s.ID, &r.u.Repo, &r.u.Owner, &s.Algorithm, &s.Offset, &s.Hash, &s.Store,
		&r.startedAt, &r.expiresAt, &r.u.LeaseBy, &r.leaseUntil,
	}
}

func (r *uploadRow) upload() meta.Upload {
	r.u.StartedAt = fromMicros(r.startedAt)
	r.u.ExpiresAt = fromMicros(r.expiresAt)
	r.u.LeaseUntil = fromMicros(r.leaseUntil)
	return r.u
}

func scanUpload(rows *sql.Rows) (meta.Upload, error) {
	var r uploadRow
	if err := rows.Scan(r.dest()...); err != nil {
		return meta.Upload{}, err
	}
	return r.upload(), nil
}
