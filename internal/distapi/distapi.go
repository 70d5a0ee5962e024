// Package distapi answers the distribution API from a registry.
//
// The handlers translate: a route.Request to a call of the registry, and what
// it returns to headers and bodies (distribution-spec, "Endpoints"). Locations
// are relative, so that they are right behind any proxy.
package distapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
	"github.com/moorgate/moorgate/internal/route"
)

// API is the gate.Handler that answers from a registry.
type API struct {
	Registry *registry.Registry

	walks gate.Walks // through lists
}

var (
	_ gate.Handler  = (*API)(nil)
	_ gate.Sessions = (*API)(nil)
)

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

// allow names the methods that are left where the registry has one switched off
// (RFC 9110, section 15.5.6).
func allow(w http.ResponseWriter, err error, methods string) {
	var known *oci.Error
	if errors.As(err, &known) && known.Kind == oci.Unsupported {
		w.Header().Set("Allow", methods)
	}
}

// SessionStart returns when an upload session was started, for the gate.
func (a *API) SessionStart(ctx context.Context, repo, id, owner string) (time.Time, error) {
	return a.Registry.UploadStart(ctx, registry.SessionKey{Repo: repo, Owner: owner, ID: id})
}

// etag is the entity tag of immutable content.
func etag(d oci.Digest) string { return `"` + string(d) + `"` }
