package proxy

import (
	"net/http"
	"net/url"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/route"
)

// uploadStart forwards the POST that begins a blob push. A mount that the caller
// may not have is a plain upload, whatever the reason.
func (h *Handler) uploadStart(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	to, err := h.pick(c.Request.Repo)
	if err != nil {
		return err
	}
	asked := *c.Request
	if asked.Mount != "" && !h.mayMount(to, c) {
		// Without the digest too: with a mount it announces no content.
		asked.Mount, asked.Digest = "", ""
	}
	if asked.Mount == "" {
		asked.From = ""
	}
	x, err := newExchange(r, to, c, &asked, asked.URL())
	if err != nil {
		return err
	}
	x.started = h.Sealer.now()
	return h.stream(w, r, x)
}

// mayMount reports whether the source of a mount is one that the caller may read,
// in the same upstream. Which repositories hold a blob the gateway cannot know, so
// that a mount from nowhere is none.
func (h *Handler) mayMount(to *Route, c *gate.Call) bool {
	from := c.Request.From
	if from == "" {
		return false
	}
	source, err := h.pick(from)
	return err == nil && source == to && c.Can(access.Scope{Action: access.Pull, Repo: from}) == nil
}

// uploadSession forwards what is about an upload session, to where the session is
// in the upstream.
func (h *Handler) uploadSession(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	q := c.Request
	to, err := h.pick(q.Repo)
	if err != nil {
		return err
	}
	session, err := h.Sealer.open(q.UploadID, seal{Prefix: to.Prefix, Repo: q.Repo, Owner: c.Who.Key()})
	if err != nil {
		return err
	}
	uri := session.Location
	if q.Kind == route.UploadFinish {
		if uri, err = withDigest(uri, string(q.Digest)); err != nil {
			return err
		}
	}
	x, err := newExchange(r, to, c, q, uri)
	if err != nil {
		return err
	}
	x.started = session.Started
	return h.stream(w, r, x)
}

// withDigest adds the digest to the query of a location, which otherwise stays as
// the upstream wrote it.
func withDigest(location, digest string) (string, error) {
	u, err := url.ParseRequestURI(location)
	if err != nil {
		return "", err //nolint:wrapcheck // names the location
	}
	query := u.Query()
	if query.Has("digest") {
		query.Del("digest")
		u.RawQuery = query.Encode()
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += url.Values{"digest": {digest}}.Encode()
	return u.RequestURI(), nil
}
