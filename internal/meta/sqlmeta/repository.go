package sqlmeta

import (
	"errors"

	"github.com/moorgate/moorgate/internal/meta"
)

const (
	selectRepository = `SELECT id FROM repositories WHERE name = ?`

	insertRepository = `INSERT INTO repositories (name) VALUES (?) RETURNING id`

	selectCatalog = `
SELECT name FROM repositories
WHERE has_manifests AND name > ?
ORDER BY name LIMIT ?`
)

// HasRepository implements meta.Repositories.
func (t *tx) HasRepository(repo string) (bool, error) {
	return t.exists(selectRepository, repo)
}

// Catalog implements meta.Repositories.
func (t *tx) Catalog(after string, limit int) ([]string, error) {
	return list(t, column[string], selectCatalog, after, max(limit, 0))
}

// ensureRepository returns the key of a repository and makes it if needed.
func (t *tx) ensureRepository(repo string) (int64, error) {
	id, err := value[int64](t, selectRepository, repo)
	if !errors.Is(err, meta.ErrNotFound) {
		return id, err
	}
	return t.insert(insertRepository, repo)
}
