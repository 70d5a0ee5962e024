package sqlmeta

import (
	"database/sql"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

const (
	selectReferrers = `
SELECT ` + manifestColumns + `
FROM manifests m
WHERE m.repo = (SELECT id FROM repositories WHERE name = ?)
  AND m.subject = ? AND m.digest > ?
ORDER BY m.digest LIMIT ?`

	selectReferrersOfType = `
SELECT ` + manifestColumns + `
FROM manifests m
WHERE m.repo = (SELECT id FROM repositories WHERE name = ?)
  AND m.subject = ? AND m.artifact_type = ? AND m.digest > ?
ORDER BY m.digest LIMIT ?`
)

// Referrers implements meta.Manifests.
func (t *tx) Referrers(repo string, subject oci.Digest, artifactType string, after oci.Digest, limit int) ([]meta.Manifest, error) {
	limit = max(limit, 0)
	if artifactType == "" {
		return list(t, scanManifest, selectReferrers, repo, subject, after, limit)
	}
	return list(t, scanManifest, selectReferrersOfType, repo, subject, artifactType, after, limit)
}

func scanManifest(rows *sql.Rows) (meta.Manifest, error) {
	var r manifestRow
	if err := rows.Scan(r.dest()...); err != nil {
		return meta.Manifest{}, err
	}
	return r.manifest()
}
