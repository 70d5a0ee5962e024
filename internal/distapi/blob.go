package distapi

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
)

// immutable lets caches keep what is named by its digest, for the one user who
// fetched it.
const immutable = "private, max-age=31536000, immutable"

func (a *API) blobRead(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	q := c.Request
	if q.Head || notModified(r, q.Digest) {
		return a.blobStat(w, r, c)
	}
	content, size, err := a.Registry.Blob(r.Context(), q.Repo, q.Digest)
	if err != nil {
		return err
	}
	defer closeQuietly(content)
	if err := checkMatch(r, q.Digest); err != nil {
		return err
	}
	spans, err := readRanges(r, size, etag(q.Digest))
	if err != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return err
	}
	blobHeaders(w, q.Digest)
	if m, ok := content.(blob.InMemory); ok && len(spans) < 2 {
		serveBytes(w, m.Bytes(), spans)
		return nil
	}
	// It knows several ranges, and sends files by sendfile.
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

// serveBytes sends all, or one part of it: by one write, so that net/http makes no
// chunks of it and copies next to nothing.
func serveBytes(w http.ResponseWriter, all []byte, part []span) {
	status, h := http.StatusOK, w.Header()
	size := len(all)
	if len(part) > 0 {
		status = http.StatusPartialContent
		last := part[0].first + part[0].length - 1
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part[0].first, last, size))
		all = all[part[0].first : last+1]
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.Itoa(len(all)))
	w.WriteHeader(status)
	_, _ = w.Write(all) // the client may be gone
}

// blobStat answers without the content.
func (a *API) blobStat(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	size, err := a.Registry.BlobSize(r.Context(), c.Request.Repo, c.Request.Digest)
	if err != nil {
		return err
	}
	if err := checkMatch(r, c.Request.Digest); err != nil {
		return err
	}
	blobHeaders(w, c.Request.Digest)
	if notModified(r, c.Request.Digest) {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

func blobHeaders(w http.ResponseWriter, d oci.Digest) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Docker-Content-Digest", string(d))
	h.Set("Etag", etag(d))
	h.Set("Cache-Control", immutable)
}

func (a *API) blobDelete(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	rights := &rights{call: c}
	err := a.Registry.DeleteBlob(r.Context(), c.Request.Repo, c.Request.Digest, rights.guard)
	rights.note()
	if err != nil {
		allow(w, err, "GET, HEAD")
		return err
	}
	c.Did(c.Request.Digest)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// closeQuietly closes what was only read: there is nothing to lose.
func closeQuietly(c io.Closer) { _ = c.Close() }
