package proxy_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	t.Cleanup(func() { _ = u.Close() })
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

// through returns a gateway that reaches a handler by the real client.
func through(t *testing.T, c upstream.Config, h http.HandlerFunc) (g *gateway, address string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c.URL = s.URL
	u, err := upstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	return newGateway(t, proxy.Route{Upstream: u}), s.Listener.Addr().String()
}

// Locations with the upstream's own address, which clients are not to learn.
func TestLocationsWithTheAddressOfTheUpstream(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]upstream.Config{
		"without credentials": {},
		"with credentials":    {Username: "gateway", Password: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var address string
			g, at := through(t, c, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "http://"+address+"/v2/shared/app/blobs/uploads/1?_state=a")
				status := http.StatusTemporaryRedirect
				if r.Method == http.MethodPost {
					status = http.StatusAccepted
				}
				w.WriteHeader(status)
			})
			address = at
			a := g.want(t, http.StatusAccepted, "alice", "POST /v2/shared/app/blobs/uploads/", "")
			if to := a.header.Get("Location"); !strings.HasPrefix(to, "/v2/shared/app/blobs/uploads/") {
				t.Errorf("the session is at %q", to)
			}
			a = g.want(t, http.StatusTemporaryRedirect, "alice", "GET /v2/shared/app/blobs/"+digestOf("x"), "")
			if to := a.header.Get("Location"); to != "/v2/shared/app/blobs/uploads/1?_state=a" {
				t.Errorf("the blob is at %q", to)
			}
		})
	}
}

// An upstream that begins an answer and hangs holds a client no longer than its
// timeout.
func TestAnAnswerThatStallsEnds(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	g, _ := through(t, upstream.Config{Timeout: 3 * time.Second}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-over
	})
	t.Cleanup(func() { close(over) })
	g.want(t, http.StatusGatewayTimeout, "alice", "GET /v2/_catalog", "")
	_, answers := g.talk(t, "GET /v2/shared/app/blobs/"+digestOf("x")+" HTTP/1.1\r\nHost: x\r\n"+aliceIn+"\r\n")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the client got %q, %v", body, err)
	}
}
