package proxy

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
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
	if asked.Mount != "" {
		if asked.From, err = h.mountSource(to, c); err != nil {
			return err
		}
		if asked.From == "" {
			// Without the digest too: with a mount it announces no content.
			asked.Mount, asked.Digest = "", ""
		}
	} else {
		asked.From = ""
	}
	x, err := newExchange(r, to, c, &asked, asked.URL())
	if err != nil {
		return err
	}
	x.started = h.Sealer.now()
	return h.stream(w, r, x)
}

// mountSource returns the repository that a mount comes from: the one that the
// client names, or else one where the gateway has seen the blob; "" if there is
// none, in the same upstream, that the caller may read.
//
// Errors: Unauthorized if a better token would do.
func (h *Handler) mountSource(to *Route, c *gate.Call) (string, error) {
	candidates := []string{c.Request.From}
	if c.Request.From == "" {
		candidates = h.sources.of(c.Request.Mount)
	}
	var unauthorized error
	for _, from := range candidates {
		if source, err := h.pick(from); err != nil || source != to {
			continue
		}
		scope := access.Scope{Action: access.Pull, Repo: from}
		err := c.Try(scope)
		if err == nil || c.Request.From != "" {
			err = c.Can(scope)
		}
		switch {
		case err == nil:
			return from, nil
		case errors.Is(err, oci.ErrUnauthorized) && unauthorized == nil:
			unauthorized = err
		}
	}
	return "", unauthorized
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
