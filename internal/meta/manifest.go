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

// BlobReader is what a Store may offer besides: a shorter way to what View and
// Tx.BlobSize give together.
type BlobReader interface {
	// ReadBlobSize returns the size in bytes of a blob that repo holds.
	//
	// Errors: ErrNotFound.
	ReadBlobSize(ctx context.Context, repo string, d oci.Digest) (int64, error)
}

// ReadBlobSize returns the size in bytes of a blob that repo holds, in the shortest
// way there is.
//
// Errors: ErrNotFound.
func ReadBlobSize(ctx context.Context, s Store, repo string, d oci.Digest) (size int64, err error) {
	if short, ok := s.(BlobReader); ok {
		return short.ReadBlobSize(ctx, repo, d)
	}
	err = s.View(ctx, func(tx Tx) (err error) {
		size, err = tx.BlobSize(repo, d)
		return err
	})
	return size, err
}
