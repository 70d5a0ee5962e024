package distapi

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
)

const jsonType = "application/json; charset=utf-8"

func (a *API) ping(w http.ResponseWriter, _ *http.Request, _ *gate.Call) error {
	return writeJSON(w, jsonType, struct{}{})
}

// catalogBody is the answer to GET /v2/_catalog.
type catalogBody struct {
	Repositories []string `json:"repositories"`
}

// catalog lists the repositories that the caller may see.
func (a *API) catalog(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	size := pageSize(c.Request.Page)
	body := catalogBody{Repositories: []string{}}
	last, more := c.Request.Page.Last, size > 0
	for more && len(body.Repositories) < size {
		repos, rest, err := a.Registry.Catalog(r.Context(), last, maxPage)
		if err != nil {
			return err
		}
		more = rest
		for i, repo := range repos {
			last = repo
			if c.Can(access.Scope{Action: access.List, Repo: repo}) == nil {
				body.Repositories = append(body.Repositories, repo)
			}
			if len(body.Repositories) == size {
				more = more || i < len(repos)-1
				break
			}
		}
	}
	if more {
		linkNext(w, c.Request, size, last)
	}
	return writeJSON(w, jsonType, body)
}
