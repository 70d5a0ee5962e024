package sqlmeta

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

const (
	keyColumns = `id, name, source, user_name, entry, may, hash, old_hash, old_until, created_at, secret_at, expires_at, used_at`

	selectKey = `SELECT ` + keyColumns + ` FROM access_keys WHERE id = ?`

	upsertKey = `
INSERT INTO access_keys (` + keyColumns + `)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, source = excluded.source, user_name = excluded.user_name, entry = excluded.entry,
    may = excluded.may, hash = excluded.hash, old_hash = excluded.old_hash, old_until = excluded.old_until,
    created_at = excluded.created_at, secret_at = excluded.secret_at,
    expires_at = excluded.expires_at, used_at = excluded.used_at`

	deleteKey = `DELETE FROM access_keys WHERE id = ?`

	selectKeys = `
SELECT ` + keyColumns + ` FROM access_keys
WHERE id > ?
ORDER BY id LIMIT ?`

	selectKeysOf = `
SELECT ` + keyColumns + ` FROM access_keys
WHERE source = ? AND user_name = ?
ORDER BY name LIMIT ?`

	noteKeyUse = `
UPDATE access_keys SET used_at = ?
WHERE id = ? AND (used_at IS NULL OR used_at < ?)`

	deleteExpiredKeys = `
DELETE FROM access_keys
WHERE id IN (
    SELECT id FROM access_keys
    WHERE expires_at < ?
    ORDER BY expires_at, id LIMIT ?)`
)

// Key implements meta.Keys.
func (t *tx) Key(id string) (meta.Key, error) {
	var r keyRow
	if err := t.row(r.dest(), selectKey, id); err != nil {
		return meta.Key{}, err
	}
	k, err := r.key()
	if err != nil {
		return meta.Key{}, t.fault(err)
	}
	return k, nil
}

// SaveKey implements meta.Keys.
func (t *tx) SaveKey(k meta.Key) error {
	may, err := json.Marshal(append([]string{}, k.May...))
	if err != nil {
		return err
	}
	_, err = t.exec(upsertKey,
		k.ID, k.Name, k.Source, k.User, k.Entry, string(may), notNull(k.Hash), k.OldHash, microsOrNull(k.OldUntil),
		micros(k.CreatedAt), micros(k.SecretAt), microsOrNull(k.ExpiresAt), microsOrNull(k.UsedAt))
	return err
}

// DeleteKey implements meta.Keys.
func (t *tx) DeleteKey(id string) error { return t.execOne(deleteKey, id) }

// ListKeys implements meta.Keys.
func (t *tx) ListKeys(after string, limit int) ([]meta.Key, error) {
	return list(t, scanKey, selectKeys, after, max(limit, 0))
}

// KeysOf implements meta.Keys.
func (t *tx) KeysOf(source, user string, limit int) ([]meta.Key, error) {
	return list(t, scanKey, selectKeysOf, source, user, max(limit, 0))
}

// NoteKeyUse implements meta.Keys.
func (t *tx) NoteKeyUse(id string, at time.Time) error {
	_, err := t.exec(noteKeyUse, micros(at), id, micros(at))
	return err
}

// DeleteExpiredKeys implements meta.Keys.
func (t *tx) DeleteExpiredKeys(before time.Time, limit int) (int, error) {
	n, err := t.exec(deleteExpiredKeys, micros(before), max(limit, 0))
	return int(n), err
}

// microsOrNull returns a time that may be none.
func microsOrNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: micros(t), Valid: !t.IsZero()}
}

func timeOrNone(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return fromMicros(n.Int64)
}

// keyRow takes the keyColumns.
type keyRow struct {
	k                           meta.Key
	may                         string
	createdAt, secretAt         int64
	oldUntil, expiresAt, usedAt sql.NullInt64
}

func (r *keyRow) dest() []any {
	return []any{
		&r.k.ID, &r.k.Name, &r.k.Source, &r.k.User, &r.k.Entry, &r.may, &r.k.Hash, &r.k.OldHash, &r.oldUntil,
		&r.createdAt, &r.secretAt, &r.expiresAt, &r.usedAt,
	}
}

func (r *keyRow) key() (meta.Key, error) {
	// What cannot be read must not look like a key without limits.
	if err := json.Unmarshal([]byte(r.may), &r.k.May); err != nil {
		return meta.Key{}, fmt.Errorf("what the key %s may cannot be read: %w", r.k.ID, err)
	}
	r.k.OldUntil = timeOrNone(r.oldUntil)
	r.k.CreatedAt, r.k.SecretAt = fromMicros(r.createdAt), fromMicros(r.secretAt)
	r.k.ExpiresAt, r.k.UsedAt = timeOrNone(r.expiresAt), timeOrNone(r.usedAt)
	return r.k, nil
}

func scanKey(rows *sql.Rows) (meta.Key, error) {
	var r keyRow
	if err := rows.Scan(r.dest()...); err != nil {
		return meta.Key{}, err
	}
	return r.key()
}
