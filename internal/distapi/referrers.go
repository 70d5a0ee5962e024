package distapi

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/wire"
)

// referrersBody is an image index (distribution-spec, "Listing Referrers").
type referrersBody struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	Manifests     []oci.Descriptor `json:"manifests"`
}

func (a *API) referrers(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	q := c.Request
	size := pageSize(q.Page)
	found, more, err := a.Registry.Referrers(r.Context(), q.Repo, q.Digest, q.ArtifactType, oci.Digest(q.Page.Last), size)
	if err != nil {
		return err
	}
	if more && len(found) > 0 {
		linkNext(w, q, size, string(found[len(found)-1].Digest))
	}
	if q.ArtifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if found == nil {
		found = []oci.Descriptor{} // an empty list, not null
	}
	return wire.JSON(w, http.StatusOK, oci.MediaTypeImageIndex, referrersBody{SchemaVersion: 2, MediaType: oci.MediaTypeImageIndex, Manifests: found})
}
