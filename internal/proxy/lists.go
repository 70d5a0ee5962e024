package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
	"github.com/moorgate/moorgate/internal/upstream"
	"github.com/moorgate/moorgate/internal/wire"
)

// Bounds of lists.
const (
	maxPage  = 1000 // entries of one page
	maxPages = 1000 // of an upstream, to make one of them
)

type tagsBody struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

type catalogBody struct {
	Repositories []string `json:"repositories"`
}

// tagList lists the tags that the caller may see.
func (h *Handler) tagList(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	repo := c.Request.Repo
	if c.Sees(access.Scope{Action: access.List, Repo: repo, Tag: access.EveryTag}) {
		return h.plain(w, r, c)
	}
	to, err := h.pick(repo)
	if err != nil {
		return err
	}
	l := h.newList(c.Request)
	err = l.fill(&walk{
		r: r, to: to, page: c.Request.Page,
		asked: route.Request{Kind: route.TagList, Repo: repo},
		read: func(body []byte) ([]string, error) {
			var page tagsBody
			err := json.Unmarshal(body, &page)
			return page.Tags, err //nolint:wrapcheck // the caller says what it is about
		},
		show: func(tag string) bool { return c.Sees(access.Scope{Action: access.List, Repo: repo, Tag: tag}) },
	})
	if err != nil {
		return err
	}
	return l.write(w, tagsBody{Name: repo, Tags: l.shown})
}

// catalog lists the repositories that the caller may see, one upstream after the
// other. A repository is shown only by the upstream that its name leads to. An
// upstream without a catalog is passed over, if there are others.
func (h *Handler) catalog(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	rest := h.Upstreams
	if last := c.Request.Page.Last; last != "" { // it goes on in the upstream of last
		owner, err := h.pick(last)
		if err != nil {
			return oci.Errorf(oci.PageInvalid, "the parameter last names no repository of this registry")
		}
		rest = rest[slices.IndexFunc(rest, func(to Route) bool { return to.Prefix == owner.Prefix }):]
	}
	l := h.newList(c.Request)
	page := c.Request.Page
	var refused error
	answered := 0
	for i := range rest {
		err := l.fill(h.catalogWalk(r, c, &rest[i], page))
		page.Last = ""
		switch {
		case noCatalog(err):
			refused = err
		case err != nil:
			return err
		default:
			answered++
		}
		if l.full() {
			l.more = l.more || i < len(rest)-1
			break
		}
	}
	if answered == 0 && refused != nil {
		return refused
	}
	return l.write(w, catalogBody{Repositories: l.shown})
}

// noCatalog reports whether an upstream refuses to list its repositories, as many
// do.
func noCatalog(err error) bool {
	var refused *refusal
	if errors.As(err, &refused) {
		return slices.Contains([]int{401, 403, 404, 405}, refused.status)
	}
	return errors.Is(err, upstream.ErrCredentials)
}

// catalogWalk walks through the catalog of one upstream.
func (h *Handler) catalogWalk(r *http.Request, c *gate.Call, to *Route, page route.Page) *walk {
	return &walk{
		r: r, to: to, page: page, asked: route.Request{Kind: route.Catalog},
		read: func(body []byte) ([]string, error) {
			var page catalogBody
			err := json.Unmarshal(body, &page)
			return page.Repositories, err //nolint:wrapcheck // the caller says what it is about
		},
		show: func(repo string) bool {
			owner, err := h.pick(repo)
			return err == nil && owner.Prefix == to.Prefix && c.Sees(access.Scope{Action: access.List, Repo: repo})
		},
	}
}

// list is a page that the gateway makes of pages of upstreams.
type list struct {
	asked *route.Request
	size  int      // at most so many entries
	shown []string // never nil
	more  bool     // there may be others behind them
	walks *gate.Walks
}

func (h *Handler) newList(q *route.Request) *list {
	l := &list{asked: q, size: maxPage, shown: []string{}, walks: &h.lists}
	if q.Page.N >= 0 {
		l.size = min(q.Page.N, maxPage)
	}
	return l
}

func (l *list) full() bool { return len(l.shown) >= l.size }

// walk is the way through the list of one upstream, page by page.
type walk struct {
	r     *http.Request
	to    *Route
	page  route.Page    // where to begin
	asked route.Request // without its page
	read  func(body []byte) ([]string, error)
	show  func(entry string) bool
}

// fill adds what may be shown of an upstream's list. It reads on while entries are
// hidden, so that the page is full if there are enough to see.
//
// Errors: *refusal; BadGateway, GatewayTimeout, TooManyRequests.
func (l *list) fill(k *walk) error {
	if l.full() {
		return nil
	}
	k.page.N = l.size
	more, err := l.add(k)
	if err != nil || !more {
		return err
	}
	leave, err := l.walks.Enter(k.r.Context())
	if err != nil {
		return err
	}
	defer leave()
	for pages := 1; more && err == nil; pages++ {
		if pages == maxPages {
			return oci.Errorf(oci.BadGateway, "the list of the upstream registry has more than %d pages, or no end", maxPages)
		}
		k.page.N = maxPage
		more, err = l.add(k)
	}
	return err
}

// add adds what may be shown of the next page of an upstream, and reports whether
// there is room and need for another.
func (l *list) add(k *walk) (more bool, err error) {
	entries, next, rest, err := k.next()
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		if !k.show(entry) {
			continue
		}
		if l.full() {
			l.more = true
			return false, nil
		}
		l.shown = append(l.shown, entry)
	}
	if l.full() {
		l.more = rest
		return false, nil
	}
	k.page = next
	return rest, nil
}

// next asks for one page.
func (k *walk) next() (entries []string, next route.Page, more bool, err error) {
	q := k.asked
	q.Page = k.page
	page, err := k.to.ask(k.r, &q, maxList)
	if err != nil {
		return nil, next, false, err
	}
	if page.status != http.StatusOK {
		return nil, next, false, &refusal{*page}
	}
	if entries, err = k.read(page.body); err != nil {
		return nil, next, false, oci.Errorf(oci.BadGateway, "the upstream registry answers with something that is no list").Because(err)
	}
	// Some registries send the whole list whatever they are asked for.
	if i := slices.Index(entries, k.page.Last); k.page.Last != "" && i >= 0 {
		entries = entries[i+1:]
	}
	next, more, err = nextPage(k.page, page.header)
	return entries, next, more, err
}

// write answers with body, which holds the list.
func (l *list) write(w http.ResponseWriter, body any) error {
	if l.more && len(l.shown) > 0 {
		next := *l.asked
		next.Page = route.Page{N: l.size, Last: l.shown[len(l.shown)-1]}
		w.Header().Set("Link", linkTo(&next))
	}
	return wire.JSON(w, http.StatusOK, wire.JSONType, body)
}
