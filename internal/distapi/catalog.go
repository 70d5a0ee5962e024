package distapi

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/wire"
)

func (a *API) ping(w http.ResponseWriter, _ *http.Request, _ *gate.Call) error {
	return wire.JSON(w, http.StatusOK, wire.JSONType, struct{}{})
}

// catalogBody is the answer to GET /v2/_catalog.
type catalogBody struct {
	Repositories []string `json:"repositories"`
}

// catalog lists the repositories that the caller may see.
func (a *API) catalog(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	p := page{
		size: pageSize(c.Request.Page), last: c.Request.Page.Last,
		enter: func() (func(), error) { return a.walks.Enter(r.Context()) },
		read: func(last string, limit int) ([]string, bool, error) {
			return a.Registry.Catalog(r.Context(), last, limit)
		},
		show: func(repo string) bool { return c.Sees(access.Scope{Action: access.List, Repo: repo}) },
	}
	repos, err := p.fill()
	if err != nil {
		return err
	}
	if p.more {
		linkNext(w, c.Request, p.size, p.last)
	}
	return wire.JSON(w, http.StatusOK, wire.JSONType, catalogBody{Repositories: repos})
}
