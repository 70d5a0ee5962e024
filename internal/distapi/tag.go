package distapi

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/gate"
)

// tagsBody is the answer to GET /v2/<name>/tags/list.
type tagsBody struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

func (a *API) tagList(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	size := pageSize(c.Request.Page)
	tags, more, err := a.Registry.Tags(r.Context(), c.Request.Repo, c.Request.Page.Last, size)
	if err != nil {
		return err
	}
	if more && len(tags) > 0 {
		linkNext(w, c.Request, size, tags[len(tags)-1])
	}
	if tags == nil {
		tags = []string{} // an empty list, not null
	}
	return writeJSON(w, jsonType, tagsBody{Name: c.Request.Repo, Tags: tags})
}
