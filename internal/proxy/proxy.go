// Package proxy is the gateway: it answers requests that have passed the gate
// from registries that stand behind it.
//
// What is forwarded is what the gate has decided on: method and URL are made
// anew from the parsed request, never taken from the client's. Bodies stream in
// both directions; nothing is spooled.
//
// Some effects depend on what a registry holds: a tag that would be moved, a
// deletion that takes something from under a tag. The gateway looks first, and
// forwards then. That is safe only if nobody reaches the registry by another way
// than through one gateway.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
	"github.com/moorgate/moorgate/internal/wire"
)

// Doer reaches one registry. It may be used at once by many.
type Doer interface {
	// Do sends a request, of which it sets scheme, address and Authorization, and
	// returns the answer as it comes (*upstream.Upstream). It follows no redirect
	// and uncompresses nothing.
	//
	// Errors: upstream.ErrUnreachable, ErrTimeout, ErrCredentials, ErrBody.
	Do(r *http.Request, grants []access.Grant) (*http.Response, error)

	// Check returns nil if the registry is there.
	Check(ctx context.Context) error
}

// Route sends repositories to a registry.
type Route struct {
	Prefix   string // whole path components of repository names, such as "team"; "" for all
	Upstream Doer

	// PassCredentials: the upstream gets the credentials of clients, so that its
	// refusals are theirs and not the gateway's.
	PassCredentials bool
}

// Handler is the gate.Handler that forwards. Its fields are set before its first
// use.
type Handler struct {
	Upstreams []Route // the longest fitting prefix counts
	Sealer    *Sealer
	Log       *slog.Logger

	locks   locks      // of the tags that are being pushed
	sources sources    // where blobs were seen
	lists   gate.Walks // through more than is shown
	looks   gate.Walks // for what needs a digest
	buffers sync.Pool  // of *[bufferSize]byte
}

var (
	_ gate.Handler  = (*Handler)(nil)
	_ gate.Sessions = (*Handler)(nil)
)

// handler answers one kind of request.
type handler func(*Handler, http.ResponseWriter, *http.Request, *gate.Call) error

// handlers has an entry for every kind.
var handlers = [route.Kinds]handler{ //nolint:gochecknoglobals // a lookup table, never written
	route.Ping:           (*Handler).ping,
	route.BlobRead:       (*Handler).plain,
	route.BlobDelete:     (*Handler).blobDelete,
	route.UploadStart:    (*Handler).uploadStart,
	route.UploadAppend:   (*Handler).uploadSession,
	route.UploadFinish:   (*Handler).uploadSession,
	route.UploadStatus:   (*Handler).uploadSession,
	route.UploadCancel:   (*Handler).uploadSession,
	route.ManifestRead:   (*Handler).plain,
	route.ManifestPut:    (*Handler).manifestPut,
	route.ManifestDelete: (*Handler).manifestDelete,
	route.TagList:        (*Handler).tagList,
	route.Referrers:      (*Handler).plain,
	route.Catalog:        (*Handler).catalog,
}

// ServeOCI answers a request that has passed the gate.
func (h *Handler) ServeOCI(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	if c.BringsOurs(r) {
		r = withoutCredentials(r)
	}
	err := handlers[c.Request.Kind](h, w, r, c)
	var refused *refusal
	if errors.As(err, &refused) {
		refused.writeTo(w)
		return nil
	}
	return err
}

// withoutCredentials returns a request that brings none to an upstream.
func withoutCredentials(r *http.Request) *http.Request {
	bare := *r
	bare.Header = r.Header.Clone()
	delete(bare.Header, "Authorization")
	return &bare
}

// ping is answered here: whether the upstream is there is for Ready to say.
func (h *Handler) ping(w http.ResponseWriter, _ *http.Request, _ *gate.Call) error {
	return wire.JSON(w, http.StatusOK, wire.JSONType, struct{}{})
}

// plain forwards what needs nothing more than the gate has asked.
func (h *Handler) plain(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	to, err := h.pick(c.Request.Repo)
	if err != nil {
		return err
	}
	return h.forward(w, r, to, c, c.Request.URL())
}

// pick returns the route of a repository.
//
// Errors: NameUnknown.
func (h *Handler) pick(repo string) (*Route, error) {
	var best *Route
	for i := range h.Upstreams {
		to := &h.Upstreams[i]
		if to.fits(repo) && (best == nil || len(to.Prefix) > len(best.Prefix)) {
			best = to
		}
	}
	if best == nil {
		return nil, oci.ErrNameUnknown.WithDetail(map[string]string{"name": repo})
	}
	return best, nil
}

// fits reports whether repo is the prefix, or below it.
func (to *Route) fits(repo string) bool {
	rest, ok := strings.CutPrefix(repo, to.Prefix)
	return ok && (to.Prefix == "" || rest == "" || rest[0] == '/')
}

// SessionStart returns when an upload session was started, for the gate.
func (h *Handler) SessionStart(_ context.Context, repo, id, owner string) (time.Time, error) {
	to, err := h.pick(repo)
	if err != nil {
		return time.Time{}, oci.ErrBlobUploadUnknown.Because(err)
	}
	s, err := h.Sealer.open(id, seal{Prefix: to.Prefix, Repo: repo, Owner: owner})
	return s.Started, err
}

// Ready returns nil if all upstreams answer.
func (h *Handler) Ready(ctx context.Context) error {
	failed := make([]error, len(h.Upstreams))
	var all sync.WaitGroup
	for i, to := range h.Upstreams {
		all.Go(func() {
			if err := to.Upstream.Check(ctx); err != nil {
				failed[i] = fmt.Errorf("upstream of %q: %w", to.Prefix+"/", err)
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}
