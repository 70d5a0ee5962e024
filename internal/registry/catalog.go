package registry

import (
	"context"

	"github.com/moorgate/moorgate/internal/meta"
)

// Catalog returns the repositories behind last, in byte order, at most limit of
// them, and whether there are more.
func (r *Registry) Catalog(ctx context.Context, last string, limit int) (repos []string, more bool, err error) {
	err = r.meta.View(ctx, func(tx meta.Tx) error {
		repos, err = tx.Catalog(last, limit+1)
		return err
	})
	if err != nil {
		return nil, false, fault("list repositories", err)
	}
	if len(repos) > limit {
		return repos[:limit], true, nil
	}
	return repos, false, nil
}
