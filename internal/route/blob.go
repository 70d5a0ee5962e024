package route

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/oci"
)

func (p *parser) blob(r *Request, digest string) error {
	if digest == "uploads" { // a client that left out the slash at the end
		return p.uploadStart(r)
	}
	err := p.methods(r, map[string]Kind{http.MethodGet: BlobRead, http.MethodDelete: BlobDelete})
	if err != nil {
		return err
	}
	r.Digest, err = oci.ParseDigest(digest)
	return err
}
