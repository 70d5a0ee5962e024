package distapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
	"github.com/moorgate/moorgate/internal/route"
	"github.com/moorgate/moorgate/internal/wire"
)

// manifestRead answers with the manifest as it was pushed, whatever the client
// accepts (distribution-spec, "Pulling manifests").
func (a *API) manifestRead(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	m, err := a.Registry.Manifest(r.Context(), c.Request.Repo, c.Request.Reference)
	if err != nil {
		return err
	}
	if err := checkMatch(r, m.Digest); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Docker-Content-Digest", string(m.Digest))
	h.Set("Etag", etag(m.Digest))
	h.Set("Cache-Control", "private, no-cache") // a tag may move: ask, with the Etag
	if notModified(r, m.Digest) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", m.MediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.FormatInt(m.Size, 10))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(m.Body) // the client may be gone; no body is sent for HEAD
	return nil
}

func (a *API) manifestPut(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	body, err := wire.ReadManifest(r)
	if err != nil {
		return err
	}
	rights := &rights{call: c}
	pushed, err := a.Registry.PutManifest(r.Context(), registry.ManifestPut{
		Repo: c.Request.Repo, Reference: c.Request.Reference, Tags: c.Request.Tags,
		Type: r.Header.Get("Content-Type"), Body: body, By: c.Who.User,
		If: precondition(r), Guard: rights.guard,
	})
	rights.note()
	if err != nil {
		return err
	}
	c.Did(pushed.Digest)
	location := route.Request{Kind: route.ManifestRead, Repo: c.Request.Repo, Reference: oci.Reference{Digest: pushed.Digest}}
	h := w.Header()
	h.Set("Location", location.URL())
	h.Set("Docker-Content-Digest", string(pushed.Digest))
	h.Set("Content-Length", "0")
	if pushed.Subject != "" {
		h.Set("OCI-Subject", string(pushed.Subject))
	}
	for _, tag := range c.Request.Tags {
		h.Add("OCI-Tag", tag)
	}
	if n := len(pushed.Missing); n > 0 { // distribution-spec, "Warnings"
		h.Add("Warning", fmt.Sprintf(`299 - "the manifest names %d blobs or manifests that this repository does not hold"`, n))
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (a *API) manifestDelete(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	rights := &rights{call: c}
	gone, err := a.Registry.DeleteManifest(r.Context(), registry.ManifestDelete{
		Repo: c.Request.Repo, Reference: c.Request.Reference, By: c.Who.User,
		If: precondition(r), Guard: rights.guard,
	})
	rights.note()
	if err != nil {
		allow(w, err, "GET, HEAD, PUT")
		return err
	}
	c.Did(gone)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func isRangeInvalid(err error) bool { return errors.Is(err, oci.ErrRangeInvalid) }
