package route

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/oci"
)

// maxArtifactType bounds the filter of the referrers API: a media type has at
// most 127 characters on each side of its slash (RFC 6838, section 4.2).
const maxArtifactType = 255

func (p *parser) referrers(r *Request, digest string) error {
	if err := p.methods(r, map[string]Kind{http.MethodGet: Referrers}); err != nil {
		return err
	}
	var err error
	if r.Digest, err = oci.ParseDigest(digest); err != nil {
		return err
	}
	if r.ArtifactType, err = p.text("artifactType", maxArtifactType); err != nil {
		return err
	}
	r.Page, err = p.page()
	return err
}
