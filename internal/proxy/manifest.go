package proxy

import (
	"bytes"
	"io"
	"net/http"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

// manifestPut forwards a push. If the caller may not move one of its tags, the
// gateway sees first whether the tag is there.
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
	tags := pushedTags(q)
	final := fixedTags(c, tags)
	if len(final) == 0 {
		release, err := h.lockTags(r, q.Repo, tags, false)
		if err != nil {
			return err
		}
		defer release()
		return h.stream(w, r, x)
	}
	body, err := readManifest(r)
	if err != nil {
		return err
	}
	// Between the look and the push nobody else may push to these tags.
	release, err := h.lockTags(r, q.Repo, tags, true)
	if err != nil {
		return err
	}
	defer release()
	for _, tag := range final {
		if err := mayMove(r, to, c, tag, body); err != nil {
			return err
		}
	}
	x.out.Body, x.out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return h.exchange(w, x)
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

func (h *Handler) lockTags(r *http.Request, repo string, tags []string, alone bool) (release func(), err error) {
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = repo + ":" + tag
	}
	return h.locks.acquire(r.Context(), names, alone)
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

// readManifest reads a body of at most oci.MaxManifestSize bytes.
//
// Errors: ManifestTooLarge, SizeInvalid.
func readManifest(r *http.Request) ([]byte, error) {
	tooLarge := oci.Errorf(oci.ManifestTooLarge, "the manifest is larger than %d bytes", oci.MaxManifestSize)
	if r.ContentLength > oci.MaxManifestSize {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, oci.MaxManifestSize+1))
	if err != nil {
		return nil, oci.Errorf(oci.SizeInvalid, "the request body ended early").Because(err)
	}
	if len(body) > oci.MaxManifestSize {
		return nil, tooLarge
	}
	return body, nil
}
