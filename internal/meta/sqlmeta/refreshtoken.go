package sqlmeta

import (
	"database/sql"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

const (
	refreshColumns = `id, hash, source, user_name, stamp, service, client, issued_at, used_at, expires_at`

	selectRefresh = `SELECT ` + refreshColumns + ` FROM refresh_tokens WHERE id = ?`

	upsertRefresh = `
INSERT INTO refresh_tokens (` + refreshColumns + `)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    hash = excluded.hash, source = excluded.source, user_name = excluded.user_name,
    stamp = excluded.stamp, service = excluded.service, client = excluded.client,
    issued_at = excluded.issued_at, used_at = excluded.used_at, expires_at = excluded.expires_at`

	deleteRefresh = `DELETE FROM refresh_tokens WHERE id = ?`

	selectRefreshes = `
SELECT ` + refreshColumns + ` FROM refresh_tokens
WHERE id > ?
ORDER BY id LIMIT ?`

	selectRefreshesOfUser = `
SELECT ` + refreshColumns + ` FROM refresh_tokens
WHERE user_name = ? AND id > ?
ORDER BY id LIMIT ?`

	countRefreshes = `SELECT COUNT(*) FROM refresh_tokens WHERE source = ? AND user_name = ?`

	deleteExpiredRefreshes = `
DELETE FROM refresh_tokens
WHERE id IN (
    SELECT id FROM refresh_tokens
    WHERE expires_at < ?
    ORDER BY expires_at, id LIMIT ?)`
)

// RefreshToken implements meta.RefreshTokens.
func (t *tx) RefreshToken(id string) (meta.RefreshToken, error) {
	var r tokenRow
	if err := t.row(r.dest(), selectRefresh, id); err != nil {
		return meta.RefreshToken{}, err
	}
	return r.token(), nil
}

// SaveRefreshToken implements meta.RefreshTokens.
func (t *tx) SaveRefreshToken(r meta.RefreshToken) error {
	_, err := t.exec(upsertRefresh,
		r.ID, notNull(r.Hash), r.Source, r.User, notNull(r.Stamp), r.Service, r.Client,
		micros(r.IssuedAt), micros(r.UsedAt), micros(r.ExpiresAt))
	return err
}

// DeleteRefreshToken implements meta.RefreshTokens.
func (t *tx) DeleteRefreshToken(id string) error { return t.execOne(deleteRefresh, id) }

// ListRefreshTokens implements meta.RefreshTokens.
func (t *tx) ListRefreshTokens(user, after string, limit int) ([]meta.RefreshToken, error) {
	if user == "" {
		return list(t, scanToken, selectRefreshes, after, max(limit, 0))
	}
	return list(t, scanToken, selectRefreshesOfUser, user, after, max(limit, 0))
}

// CountRefreshTokens implements meta.RefreshTokens.
func (t *tx) CountRefreshTokens(source, user string) (int, error) {
	return value[int](t, countRefreshes, source, user)
}

// DeleteExpiredRefreshTokens implements meta.RefreshTokens.
func (t *tx) DeleteExpiredRefreshTokens(now time.Time, limit int) (int, error) {
	n, err := t.exec(deleteExpiredRefreshes, micros(now), max(limit, 0))
	return int(n), err
}

// notNull returns b, which is NULL to a driver if it is nil.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// tokenRow takes the refreshColumns.
type tokenRow struct {
	r                           meta.RefreshToken
	issuedAt, usedAt, expiresAt int64
}

func (r *tokenRow) dest() []any {
	return []any{
		&r.r.ID, &r.r.Hash, &r.r.Source, &r.r.User, &r.r.Stamp, &r.r.Service, &r.r.Client,
		&r.issuedAt, &r.usedAt, &r.expiresAt,
	}
}

func (r *tokenRow) token() meta.RefreshToken {
	r.r.IssuedAt = fromMicros(r.issuedAt)
	r.r.UsedAt = fromMicros(r.usedAt)
	r.r.ExpiresAt = fromMicros(r.expiresAt)
	return r.r
}

func scanToken(rows *sql.Rows) (meta.RefreshToken, error) {
	var r tokenRow
	if err := rows.Scan(r.dest()...); err != nil {
		return meta.RefreshToken{}, err
	}
	return r.token(), nil
}
