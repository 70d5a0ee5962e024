package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/gate"
)

// hostSeen is a gate.Handler that keeps the host it was called by.
type hostSeen struct{ host string }

func (h *hostSeen) ServeOCI(_ http.ResponseWriter, r *http.Request, _ *gate.Call) error {
	h.host = r.Host
	return nil
}

func TestTheGatewayHasTheNameOfItsURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                                  "forged.example",
		"https://registry.example.com":      "registry.example.com",
		"https://registry.example.com:5043": "registry.example.com:5043",
	} {
		s := &Server{cfg: config.Config{URL: url}}
		seen := &hostSeen{}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://forged.example/v2/", http.NoBody)
		if err := s.called(seen).ServeOCI(httptest.NewRecorder(), r, nil); err != nil {
			t.Error(err)
		}
		if seen.host != want || r.Host != "forged.example" {
			t.Errorf("url %q: upstreams see %q, want %q; the request has %q", url, seen.host, want, r.Host)
		}
	}
}
