package distapi

import (
	"fmt"
	"net/http"

	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
	"github.com/moorgate/moorgate/internal/route"
)

// uploadStart answers the POST that begins a blob push: a mount, a whole blob,
// or a session.
func (a *API) uploadStart(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	q := c.Request
	if q.Mount != "" {
		rights := &rights{call: c}
		mounted, err := a.Registry.Mount(r.Context(), q.Repo, q.Mount, q.From, rights.guard)
		rights.note()
		if err != nil {
			return err
		}
		if mounted {
			c.Did(q.Mount)
			created(w, q.Repo, q.Mount)
			return nil
		}
	} else if q.Digest != "" {
		if err := a.Registry.PushBlob(r.Context(), q.Repo, q.Digest, r.ContentLength, r.Body); err != nil {
			return err
		}
		c.Did(q.Digest)
		created(w, q.Repo, q.Digest)
		return nil
	}
	key, err := a.Registry.StartUpload(r.Context(), q.Repo, c.Who.Key(), q.Algorithm)
	if err != nil {
		return err
	}
	sessionHeaders(w, key, 0)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (a *API) uploadAppend(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	key := sessionKey(c)
	chunk, err := readChunk(r)
	if err != nil {
		return err
	}
	offset, err := a.Registry.AppendUpload(r.Context(), key, chunk)
	if err != nil {
		return outOfOrder(w, key, offset, err)
	}
	sessionHeaders(w, key, offset)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (a *API) uploadFinish(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	key := sessionKey(c)
	chunk, err := readChunk(r)
	if err != nil {
		return err
	}
	offset, err := a.Registry.FinishUpload(r.Context(), key, chunk, c.Request.Digest)
	if err != nil {
		return outOfOrder(w, key, offset, err)
	}
	c.Did(c.Request.Digest)
	created(w, c.Request.Repo, c.Request.Digest)
	return nil
}

func (a *API) uploadStatus(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	key := sessionKey(c)
	offset, err := a.Registry.UploadOffset(r.Context(), key)
	if err != nil {
		return err
	}
	sessionHeaders(w, key, offset)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) uploadCancel(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	if err := a.Registry.CancelUpload(r.Context(), sessionKey(c)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func sessionKey(c *gate.Call) registry.SessionKey {
	return registry.SessionKey{Repo: c.Request.Repo, Owner: c.Who.Key(), ID: c.Request.UploadID}
}

// readChunk reads what the headers say of the body, and no byte of the body.
func readChunk(r *http.Request) (registry.Chunk, error) {
	start, length, err := readContentRange(r.Header.Get("Content-Range"))
	if err != nil {
		return registry.Chunk{}, err
	}
	if length >= 0 && r.ContentLength >= 0 && length != r.ContentLength {
		return registry.Chunk{}, oci.Errorf(oci.SizeInvalid, "Content-Range says %d bytes, Content-Length says %d", length, r.ContentLength)
	}
	return registry.Chunk{Start: start, Length: length, Body: r.Body}, nil
}

// outOfOrder tells a client whose chunk does not fit where to go on.
func outOfOrder(w http.ResponseWriter, key registry.SessionKey, offset int64, err error) error {
	if isRangeInvalid(err) {
		sessionHeaders(w, key, offset)
	}
	return err
}

// sessionHeaders name the session and how many bytes it has. One without any
// says 0-0, as clients have come to expect.
func sessionHeaders(w http.ResponseWriter, key registry.SessionKey, offset int64) {
	location := route.Request{Kind: route.UploadStatus, Repo: key.Repo, UploadID: key.ID}
	h := w.Header()
	h.Set("Location", location.URL())
	h.Set("Range", fmt.Sprintf("0-%d", max(offset-1, 0)))
	h.Set("Docker-Upload-UUID", key.ID)
	h.Set("Content-Length", "0")
}

// created answers that a blob is stored.
func created(w http.ResponseWriter, repo string, d oci.Digest) {
	location := route.Request{Kind: route.BlobRead, Repo: repo, Digest: d}
	h := w.Header()
	h.Set("Location", location.URL())
	h.Set("Docker-Content-Digest", string(d))
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}
