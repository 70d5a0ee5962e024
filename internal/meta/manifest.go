package meta

import (
	"context"

	"github.com/moorgate/moorgate/internal/oci"
)

// ManifestReader is what a Store may offer besides: a shorter way to what View
// would find.
type ManifestReader interface {
	// ReadManifest returns a manifest with its body, by tag or by digest. Nobody
	// changes what it returns.
	//
	// Errors: ErrNotFound.
	ReadManifest(ctx context.Context, repo string, ref oci.Reference) (Manifest, error)
}

// ReadManifest reads a manifest in the shortest way that the store has.
//
// Errors: ErrNotFound.
func ReadManifest(ctx context.Context, s Store, repo string, ref oci.Reference) (Manifest, error) {
	if short, ok := s.(ManifestReader); ok {
		return short.ReadManifest(ctx, repo, ref)
	}
	var m Manifest
	err := s.View(ctx, func(tx Tx) (err error) {
		if ref.Tag != "" {
			m, err = tx.ManifestByTag(repo, ref.Tag)
		} else {
			m, err = tx.Manifest(repo, ref.Digest)
		}
		return err
	})
	return m, err
}
