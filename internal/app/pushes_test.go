package app

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/route"
)

// handlerFunc is a function as a gate.Handler.
type handlerFunc func(*gate.Call) error

func (f handlerFunc) ServeOCI(_ http.ResponseWriter, _ *http.Request, c *gate.Call) error {
	return f(c)
}

// serve passes a request of a kind through p.
func (p *pushes) serve(t *testing.T, kind route.Kind) error {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/", nil)
	return p.ServeOCI(httptest.NewRecorder(), r, &gate.Call{Request: &route.Request{Kind: kind}})
}

func TestPushIsOverAPauseAfterItsLastRequest(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := &pushes{now: func() time.Time { return now }}
	if !p.over() {
		t.Error("a push is under way before any request")
	}
	wrong := errors.New("the handler's")
	for _, kind := range []route.Kind{route.UploadStart, route.UploadAppend, route.UploadFinish, route.ManifestPut} {
		p.next = handlerFunc(func(*gate.Call) error {
			now = now.Add(time.Hour)
			if p.over() {
				t.Errorf("%s: no push is under way while it runs", kind)
			}
			return wrong
		})
		if err := p.serve(t, kind); !errors.Is(err, wrong) {
			t.Errorf("%s: error %v, want the handler's", kind, err)
		}
		now = now.Add(pause - time.Millisecond)
		if p.over() {
			t.Errorf("%s: the push is over before the client had time for its next request", kind)
		}
		now = now.Add(time.Millisecond)
		if !p.over() {
			t.Errorf("%s: the push is not over after the pause", kind)
		}
	}
}

func TestOtherRequestsAreNoPushes(t *testing.T) {
	t.Parallel()
	p := &pushes{now: time.Now}
	p.next = handlerFunc(func(c *gate.Call) error {
		if !p.over() {
			t.Errorf("%s counts as a push", c.Request.Kind)
		}
		return nil
	})
	for _, kind := range []route.Kind{route.Ping, route.BlobRead, route.ManifestRead, route.UploadStatus, route.Catalog} {
		if err := p.serve(t, kind); err != nil {
			t.Error(err)
		}
	}
}

func TestWaitEndsWithTheLastPushOrTheContext(t *testing.T) {
	t.Parallel()
	p := &pushes{now: time.Now}
	p.add(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.wait(ctx) // returns though a push is under way
	p.now = func() time.Time { return time.Now().Add(-time.Hour) }
	p.add(-1)
	p.now = time.Now
	p.wait(t.Context())
}
