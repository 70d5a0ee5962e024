package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/moorgate/moorgate/internal/proxy"
	"github.com/moorgate/moorgate/internal/upstream"
)

var _ proxy.Doer = (*upstream.Upstream)(nil)

// The real client in between: it signs in for the gateway, and the credentials of
// the client stay here.
func TestThroughTheRealUpstream(t *testing.T) {
	t.Parallel()
	inner := newRegistry(t)
	var strangers atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "gateway" || password != "secret" {
			if ok {
				strangers.Add(1)
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="inner"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.Header.Del("Authorization")
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	u, err := upstream.New(upstream.Config{URL: s.URL, Username: "gateway", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	g := newGateway(t, proxy.Route{Upstream: u})
	m := g.pushImage(t, "alice", "shared/app", "v1", "one")
	other := g.pushImage(t, "mallory", "shared/app", "latest", "two")
	g.want(t, http.StatusForbidden, "mallory", "PUT /v2/shared/app/manifests/v1", other, imageType)
	g.want(t, http.StatusForbidden, "mallory", "DELETE /v2/shared/app/manifests/"+digestOf(m), "")
	if a := g.want(t, http.StatusOK, "mallory", "GET /v2/shared/app/manifests/v1", ""); a.body != m {
		t.Errorf("the manifest is %q", a.body)
	}
	if err := g.handler.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if n := strangers.Load(); n > 0 {
		t.Errorf("%d requests came with credentials of clients", n)
	}
}
