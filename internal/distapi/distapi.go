// Package distapi answers the distribution API from a registry.
//
// The handlers translate: a route.Request to a call of the registry, and what
// it returns to headers and bodies (distribution-spec, "Endpoints"). Locations
// are relative, so that they are right behind any proxy.
package distapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
	"github.com/moorgate/moorgate/internal/route"
)

// API is the gate.Handler that answers from a registry.
type API struct {
	Registry *registry.Registry
}

var _ gate.Handler = (*API)(nil)

// handler answers one kind of request.
type handler func(*API, http.ResponseWriter, *http.Request, *gate.Call) error

// handlers has an entry for every kind.
var handlers = [route.Kinds]handler{ //nolint:gochecknoglobals // a lookup table, never written
	route.Ping:           (*API).ping,
	route.BlobRead:       (*API).blobRead,
	route.BlobDelete:     (*API).blobDelete,
	route.UploadStart:    (*API).uploadStart,
	route.UploadAppend:   (*API).uploadAppend,
	route.UploadFinish:   (*API).uploadFinish,
	route.UploadStatus:   (*API).uploadStatus,
	route.UploadCancel:   (*API).uploadCancel,
	route.ManifestRead:   (*API).manifestRead,
	route.ManifestPut:    (*API).manifestPut,
	route.ManifestDelete: (*API).manifestDelete,
	route.TagList:        (*API).tagList,
	route.Referrers:      (*API).referrers,
	route.Catalog:        (*API).catalog,
}

// ServeOCI answers a request that has passed the gate.
func (a *API) ServeOCI(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	return handlers[c.Request.Kind](a, w, r, c)
}

// guard asks the caller's rights to what the registry is about to do.
func guard(c *gate.Call) registry.Guard {
	return func(e registry.Effect) error {
		switch e.Action {
		case registry.ReadBlob:
			return c.Can(access.Scope{Action: access.Pull, Repo: e.Repo})
		case registry.MoveTag:
			return c.Can(access.Scope{Action: access.Overwrite, Repo: e.Repo, Tag: e.Tag})
		case registry.DeleteTag:
			return c.Can(access.Scope{Action: access.Delete, Repo: e.Repo, Tag: e.Tag})
		default:
			return c.Can(access.Scope{Action: access.Admin})
		}
	}
}

// allow names the methods that are left where the registry has one switched off
// (RFC 9110, section 15.5.6).
func allow(w http.ResponseWriter, err error, methods string) {
	var known *oci.Error
	if errors.As(err, &known) && known.Kind == oci.Unsupported {
		w.Header().Set("Allow", methods)
	}
}

// maxPage bounds the entries of one page of a list.
const maxPage = 1000

// pageSize returns how many entries a page has at most.
func pageSize(p route.Page) int {
	if p.N < 0 {
		return maxPage
	}
	return min(p.N, maxPage)
}

// linkNext names the next page: the same request behind the entry last
// (RFC 8288). A page of no entries has no next one.
func linkNext(w http.ResponseWriter, r *route.Request, size int, last string) {
	if size == 0 {
		return
	}
	next := *r
	next.Page = route.Page{N: size, Last: last}
	w.Header().Set("Link", "<"+next.URL()+`>; rel="next"`)
}

// writeJSON answers 200 with a JSON value.
func writeJSON(w http.ResponseWriter, mediaType string, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // a sign such as < in an annotation would take six times the room
	if err := enc.Encode(v); err != nil {
		return err
	}
	body := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the client may be gone; no body is sent for HEAD
	return nil
}

// etag is the entity tag of immutable content.
func etag(d oci.Digest) string { return `"` + string(d) + `"` }
