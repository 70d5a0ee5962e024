package registry

import (
	"context"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// maxReferrersBytes bounds the annotations in one answer of more than one
// referrer, for each may have up to oci.MaxManifestSize of them. The
// specification wants answers that are no larger than a manifest may be.
const maxReferrersBytes = oci.MaxManifestSize

// referrersBatch is how many referrers are read at a time.
const referrersBatch = 16

// Referrers returns descriptors of the manifests of repo whose subject is
// subject, behind last in the order of their digests, at most limit of them, of
// one artifact type if it is not "", and whether there are more.
// An unknown subject or repository has no referrers.
func (r *Registry) Referrers(ctx context.Context, repo string, subject oci.Digest, artifactType string, last oci.Digest, limit int) (found []oci.Descriptor, more bool, err error) {
	err = r.meta.View(ctx, func(tx meta.Tx) error {
		found, more = nil, true
		for size := 0; more && len(found) < limit; {
			batch := min(referrersBatch, limit-len(found))
			list, err := tx.Referrers(repo, subject, artifactType, last, batch+1)
			if err != nil {
				return err
			}
			more = len(list) > batch
			for _, m := range list[:min(batch, len(list))] {
				size += annotationBytes(m)
				if size > maxReferrersBytes && len(found) > 0 {
					more = true
					return nil
				}
				found, last = append(found, descriptor(m)), m.Digest
			}
		}
		return nil
	})
	if err != nil {
		return nil, false, fault("list referrers", err)
	}
	return found, more, nil
}

func descriptor(m meta.Manifest) oci.Descriptor {
	return oci.Descriptor{
		MediaType: m.MediaType, Digest: m.Digest, Size: m.Size,
		ArtifactType: m.ArtifactType, Annotations: m.Annotations,
	}
}

func annotationBytes(m meta.Manifest) int {
	n := 0
	for key, value := range m.Annotations {
		n += len(key) + len(value)
	}
	return n
}
