package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
	"github.com/moorgate/moorgate/internal/wire"
)

// manifestPut forwards a push. It reads the manifest first, so that a slow client
// holds up nobody else.
func (h *Handler) manifestPut(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	q := c.Request
	to, err := h.pick(q.Repo)
	if err != nil {
		return err
	}
	x, err := newExchange(r, to, c, q, q.URL())
	if err != nil {
		return err
	}
	body, err := wire.ReadManifest(r)
	if err != nil {
		return err
	}
	x.carry(body)
	resp, err := h.push(r, x, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return h.answer(w, x, resp)
}

// push sends a manifest. If the caller may not move one of its tags, the gateway
// sees first whether that tag is there; between the look and the push nobody else
// may push to it. Others may again before the client has its answer.
func (h *Handler) push(r *http.Request, x *exchange, body []byte) (*http.Response, error) {
	tags := pushedTags(x.asked)
	final := fixedTags(x.call, tags)
	release, err := h.lockTags(r, x.asked.Repo, tags, len(final) > 0)
	if err != nil {
		return nil, err
	}
	defer release()
	for _, tag := range final {
		if err := mayMove(r, x.to, x.call, tag, body); err != nil {
			return nil, err
		}
	}
	return x.send()
}

// carry gives the request a manifest as its body, which can be sent again.
func (x *exchange) carry(body []byte) {
	if x.pushed = x.asked.Reference.Digest; x.pushed == "" {
		x.pushed = oci.SHA256.FromBytes(body)
	}
	if len(body) == 0 {
		return
	}
	x.out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	x.out.Body, x.out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// pushedTags returns the tags that a push sets.
func pushedTags(q *route.Request) []string {
	if q.Reference.Tag != "" {
		return []string{q.Reference.Tag}
	}
	return q.Tags
}

// fixedTags returns those tags that the caller may make, but not move.
func fixedTags(c *gate.Call, tags []string) []string {
	var final []string
	for _, tag := range tags {
		if !c.May(access.Scope{Action: access.Overwrite, Repo: c.Request.Repo, Tag: tag}) {
			final = append(final, tag)
		}
	}
	return final
}

// lockWait is how long a push waits for others of the same tags: far longer than
// an upstream takes that is well.
const lockWait = time.Minute

// lockTags locks tags for a push.
//
// Errors: Unavailable after lockWait; that of the request's context.
func (h *Handler) lockTags(r *http.Request, repo string, tags []string, alone bool) (release func(), err error) {
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = repo + ":" + tag
	}
	ctx, cancel := context.WithTimeout(r.Context(), lockWait)
	defer cancel()
	release, err = h.locks.acquire(ctx, names, alone)
	if err != nil && r.Context().Err() == nil {
		return nil, oci.Errorf(oci.Unavailable, "another push to the same tag takes very long: try again later").Because(err)
	}
	return release, err
}

// mayMove asks for the right to move a tag if the push of body would move it.
func mayMove(r *http.Request, to *Route, c *gate.Call, tag string, body []byte) error {
	there, err := pointsTo(r, to, c.Request.Repo, tag, body)
	if err != nil || there != elsewhere {
		return err
	}
	return c.Can(access.Scope{Action: access.Overwrite, Repo: c.Request.Repo, Tag: tag})
}

// target is what a tag points to.
type target int

const (
	nothing target = iota
	same           // the manifest in question
	elsewhere
)

// pointsTo finds out whether a tag of the upstream points to the manifest body.
//
// Errors: BadGateway, GatewayTimeout.
func pointsTo(r *http.Request, to *Route, repo, tag string, body []byte) (target, error) {
	q := route.Request{Kind: route.ManifestRead, Head: true, Repo: repo, Reference: oci.Reference{Tag: tag}}
	there, err := to.ask(r, &q, oci.MaxManifestSize)
	if err != nil {
		return nothing, err
	}
	digest, err := oci.ParseDigest(there.header.Get("Docker-Content-Digest"))
	switch {
	case there.status == http.StatusNotFound:
		return nothing, nil
	case there.status != http.StatusOK:
		return nothing, there.unexpected("whether the tag " + tag + " exists")
	case err != nil: // it does not say what it is, but it is there
		return elsewhere, nil
	case digest.Algorithm().FromBytes(body) == digest:
		return same, nil
	default:
		return elsewhere, nil
	}
}
