package sqlmeta

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

const (
	manifestColumns = `m.digest, m.media_type, m.artifact_type, m.subject, m.annotations, m.size, m.pushed_at`

	selectManifest = `
SELECT ` + manifestColumns + `, m.body
FROM repositories r
JOIN manifests m ON m.repo = r.id
WHERE r.name = ? AND m.digest = ?`

	selectManifestByTag = `
SELECT ` + manifestColumns + `, m.body
FROM repositories r
JOIN tags t ON t.repo = r.id
JOIN manifests m ON m.id = t.manifest
WHERE r.name = ? AND t.name = ?`

	touchManifest = `UPDATE manifests SET pushed_at = ? WHERE repo = ? AND digest = ?`

	insertManifest = `
INSERT INTO manifests (repo, digest, media_type, artifact_type, subject, annotations, size, pushed_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
RETURNING id`

	insertManifestRefs = `INSERT INTO manifest_refs (repo, manifest, digest, is_manifest) VALUES `

	showRepository = `
UPDATE repositories SET has_manifests = TRUE
WHERE id = ? AND NOT has_manifests`

	// manifest_refs goes with it (ON DELETE CASCADE).
	deleteManifest = `
DELETE FROM manifests
WHERE repo = (SELECT id FROM repositories WHERE name = ?) AND digest = ?`

	hideEmptyRepository = `
UPDATE repositories SET has_manifests = FALSE
WHERE name = ? AND NOT EXISTS (SELECT 1 FROM manifests WHERE repo = repositories.id)`

	selectPresentManifests = `
SELECT digest FROM manifests
WHERE repo = (SELECT id FROM repositories WHERE name = ?) AND digest IN`
)

// Manifest implements meta.Manifests.
func (t *tx) Manifest(repo string, d oci.Digest) (meta.Manifest, error) {
	return t.oneManifest(selectManifest, repo, d)
}

func (t *tx) oneManifest(query string, args ...any) (meta.Manifest, error) {
	var r manifestRow
	var body []byte
	if err := t.row(append(r.dest(), &body), query, args...); err != nil {
		return meta.Manifest{}, err
	}
	m, err := r.manifest()
	if err != nil {
		return meta.Manifest{}, t.fault(err)
	}
	m.Body = body
	return m, nil
}

// PutManifest implements meta.Manifests.
func (t *tx) PutManifest(repo string, m meta.Manifest, refs []meta.Reference) error {
	id, err := t.ensureRepository(repo)
	if err != nil {
		return err
	}
	n, err := t.exec(touchManifest, micros(m.PushedAt), id, m.Digest)
	if err != nil || n > 0 {
		return err
	}
	annotations, err := encodeAnnotations(m.Annotations)
	if err != nil {
		return err
	}
	subject := sql.Null[oci.Digest]{V: m.Subject, Valid: m.Subject != ""}
	manifest, err := t.insert(insertManifest, id, m.Digest, m.MediaType, m.ArtifactType,
		subject, annotations, m.Size, micros(m.PushedAt), notNull(m.Body))
	if err != nil {
		return err
	}
	if err := t.insertRefs(id, manifest, refs); err != nil {
		return err
	}
	_, err = t.exec(showRepository, id)
	return err
}

func (t *tx) insertRefs(repo, manifest int64, refs []meta.Reference) error {
	for rest := refs; len(rest) > 0; {
		var part []meta.Reference
		part, rest = takePart(rest)
		args := make([]any, 0, 4*len(part))
		for _, r := range part {
			args = append(args, repo, manifest, r.Digest, r.Manifest)
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(part)), ", ")
		if _, err := t.exec(insertManifestRefs+values+" ON CONFLICT DO NOTHING", args...); err != nil {
			return err
		}
	}
	return nil
}

// DeleteManifest implements meta.Manifests.
func (t *tx) DeleteManifest(repo string, d oci.Digest) error {
	err := t.execOne(deleteManifest, repo, d)
	if err != nil {
		if errors.Is(err, meta.ErrNotFound) {
			return err
		}
		return fmt.Errorf("delete manifest %s, which no tag may point to: %w", d, err)
	}
	_, err = t.exec(hideEmptyRepository, repo)
	return err
}

// MissingManifests implements meta.Manifests.
func (t *tx) MissingManifests(repo string, ds []oci.Digest) ([]oci.Digest, error) {
	return t.missing(selectPresentManifests, repo, ds)
}

// manifestRow takes the manifestColumns.
type manifestRow struct {
	m           meta.Manifest
	subject     sql.Null[oci.Digest]
	annotations string
	pushedAt    int64
}

func (r *manifestRow) dest() []any {
	return []any{
		&r.m.Digest, &r.m.MediaType, &r.m.ArtifactType, &r.subject, &r.annotations, &r.m.Size, &r.pushedAt,
	}
}

func (r *manifestRow) manifest() (meta.Manifest, error) {
	r.m.Subject = r.subject.V
	r.m.PushedAt = fromMicros(r.pushedAt)
	if r.annotations == "" {
		return r.m, nil
	}
	if err := json.Unmarshal([]byte(r.annotations), &r.m.Annotations); err != nil {
		return meta.Manifest{}, fmt.Errorf("stored annotations of manifest %s: %w", r.m.Digest, err)
	}
	return r.m, nil
}

func encodeAnnotations(annotations map[string]string) (string, error) {
	if len(annotations) == 0 {
		return "", nil
	}
	b, err := json.Marshal(annotations)
	return string(b), err
}
