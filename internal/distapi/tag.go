package distapi

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/wire"
)

// tagsBody is the answer to GET /v2/<name>/tags/list.
type tagsBody struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// tagList lists the tags that the caller may see.
func (a *API) tagList(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	repo := c.Request.Repo
	p := page{
		size: pageSize(c.Request.Page), last: c.Request.Page.Last,
		enter: func() (func(), error) { return a.walks.Enter(r.Context()) },
		read: func(last string, limit int) ([]string, bool, error) {
			return a.Registry.Tags(r.Context(), repo, last, limit)
		},
		show: func(tag string) bool { return c.Sees(access.Scope{Action: access.List, Repo: repo, Tag: tag}) },
	}
	if c.Sees(access.Scope{Action: access.List, Repo: repo, Tag: access.EveryTag}) {
		p.show = func(string) bool { return true }
	}
	tags, err := p.fill()
	if err != nil {
		return err
	}
	if p.more {
		linkNext(w, c.Request, p.size, p.last)
	}
	return wire.JSON(w, http.StatusOK, wire.JSONType, tagsBody{Name: repo, Tags: tags})
}
