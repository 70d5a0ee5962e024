package sqlmeta

import (
	"errors"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

const (
	selectTag = `
SELECT t.name, m.digest, t.set_at, t.set_by
FROM repositories r
JOIN tags t ON t.repo = r.id
JOIN manifests m ON m.id = t.manifest
WHERE r.name = ? AND t.name = ?`

	// The casts tell PostgreSQL the types, which it cannot infer here.
	upsertTag = `
INSERT INTO tags (repo, name, manifest, set_at, set_by)
SELECT r.id, CAST(? AS TEXT), m.id, CAST(? AS BIGINT), CAST(? AS TEXT)
FROM repositories r
JOIN manifests m ON m.repo = r.id
WHERE r.name = ? AND m.digest = ?
ON CONFLICT (repo, name) DO UPDATE
SET manifest = excluded.manifest, set_at = excluded.set_at, set_by = excluded.set_by`

	insertTagHistory = `
INSERT INTO tag_history (repo, name, digest, action, changed_at, changed_by)
SELECT r.id, t.name, m.digest, CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT)
FROM repositories r
JOIN tags t ON t.repo = r.id
JOIN manifests m ON m.id = t.manifest
WHERE r.name = ? AND t.name = ?`

	deleteTag = `
DELETE FROM tags
WHERE repo = (SELECT id FROM repositories WHERE name = ?) AND name = ?`

	selectTagNames = `
SELECT name FROM tags
WHERE repo = (SELECT id FROM repositories WHERE name = ?) AND name > ?
ORDER BY name LIMIT ?`

	selectTagsOf = `
SELECT name FROM tags
WHERE manifest = (
    SELECT m.id FROM repositories r JOIN manifests m ON m.repo = r.id
    WHERE r.name = ? AND m.digest = ?)
ORDER BY name`

	// users are the manifests that need the digest, itself the first. Each is
	// found once, whatever the ways to it, so the query ends.
	selectTagsUsing = `
WITH RECURSIVE users (id, repo, digest) AS (
    SELECT m.id, m.repo, m.digest
    FROM repositories r
    JOIN manifests m ON m.repo = r.id
    WHERE r.name = ? AND m.digest = ?
  UNION
    SELECT m.id, m.repo, m.digest
    FROM repositories r
    JOIN manifest_refs f ON f.repo = r.id
    JOIN manifests m ON m.id = f.manifest
    WHERE r.name = ? AND f.digest = ?
  UNION
    SELECT m.id, m.repo, m.digest
    FROM users u
    JOIN manifest_refs f ON f.repo = u.repo AND f.digest = u.digest
    JOIN manifests m ON m.id = f.manifest
    WHERE f.is_manifest
)
SELECT t.name
FROM users u
JOIN tags t ON t.manifest = u.id
ORDER BY t.name`
)

// Tag implements meta.Tags.
func (t *tx) Tag(repo, name string) (meta.Tag, error) {
	var tag meta.Tag
	var setAt int64
	err := t.row([]any{&tag.Name, &tag.Digest, &setAt, &tag.SetBy}, selectTag, repo, name)
	if err != nil {
		return meta.Tag{}, err
	}
	tag.SetAt = fromMicros(setAt)
	return tag, nil
}

// ManifestByTag implements meta.Tags.
func (t *tx) ManifestByTag(repo, name string) (meta.Manifest, error) {
	return t.oneManifest(selectManifestByTag, repo, name)
}

// SetTag implements meta.Tags. Without the manifest the error is also
// meta.ErrNotFound.
func (t *tx) SetTag(repo string, tag meta.Tag) error {
	err := t.execOne(upsertTag, tag.Name, micros(tag.SetAt), tag.SetBy, repo, tag.Digest)
	if errors.Is(err, meta.ErrNotFound) {
		return fmt.Errorf("set tag %s: %w: manifest %s in repository %s", tag.Name, err, tag.Digest, repo)
	}
	if err != nil {
		return err
	}
	return t.execOne(insertTagHistory, "set", micros(tag.SetAt), tag.SetBy, repo, tag.Name)
}

// DeleteTag implements meta.Tags.
func (t *tx) DeleteTag(repo, name, by string, now time.Time) error {
	if err := t.execOne(insertTagHistory, "delete", micros(now), by, repo, name); err != nil {
		return err
	}
	return t.execOne(deleteTag, repo, name)
}

// TagNames implements meta.Tags.
func (t *tx) TagNames(repo, after string, limit int) ([]string, error) {
	return list(t, column[string], selectTagNames, repo, after, max(limit, 0))
}

// TagsOf implements meta.Tags.
func (t *tx) TagsOf(repo string, d oci.Digest) ([]string, error) {
	return list(t, column[string], selectTagsOf, repo, d)
}

// TagsUsing implements meta.Tags.
func (t *tx) TagsUsing(repo string, d oci.Digest) ([]string, error) {
	return list(t, column[string], selectTagsUsing, repo, d, repo, d)
}
