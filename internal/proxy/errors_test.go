package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/proxy"
	"github.com/moorgate/moorgate/internal/upstream"
)

// failing is a Doer that only fails.
type failing struct{ err error }

func (f failing) Do(*http.Request, []access.Grant) (*http.Response, error) { return nil, f.err }
func (f failing) Check(context.Context) error                              { return f.err }

func TestErrorsOfTheUpstreamAreOnesOfTheGateway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"unreachable": {fmt.Errorf("x: %w", upstream.ErrUnreachable), http.StatusBadGateway},
		"too slow":    {fmt.Errorf("x: %w", upstream.ErrTimeout), http.StatusGatewayTimeout},
		"credentials": {fmt.Errorf("x: %w", upstream.ErrCredentials), http.StatusBadGateway},
		"others":      {io.ErrUnexpectedEOF, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, proxy.Route{Upstream: failing{c.err}})
			if a := g.want(t, c.want, "alice", "GET /v2/shared/app/manifests/latest", ""); strings.Contains(a.body, "x: ") {
				t.Errorf("the client learns %s", a.body)
			}
			g.want(t, c.want, "alice", "PUT /v2/shared/app/manifests/latest", "{}")
			g.want(t, http.StatusOK, "alice", "GET /v2/", "")
			if err := g.handler.Ready(t.Context()); err == nil {
				t.Error("it is ready")
			}
		})
	}
}

// TestAnswersOfTheUpstream answers one request with what an upstream says.
func TestAnswersOfTheUpstream(t *testing.T) {
	t.Parallel()
	const errorBody = `{"errors":[{"code":"X","message":"the quota is used up"}]}`
	read, start := "GET /v2/shared/app/blobs/"+digestOf("x"), "POST /v2/shared/app/blobs/uploads/"
	for name, c := range map[string]struct {
		line     string
		status   int
		location string
		want     int
		wantLoc  string // "*" at its end: a prefix
		body     string // part of the answer's
	}{
		"an error passes":                     {read, 404, "", 404, "", "quota"},
		"an error of its own passes":          {read, 503, "", 503, "", "quota"},
		"401 is about the gateway":            {read, 401, "", 502, "", "credentials"},
		"403 is about the gateway":            {read, 403, "", 502, "", "quota"},
		"a redirect elsewhere stays":          {read, 307, "https://s3.example.com/b?sig=1%2F2", 307, "https://s3.example.com/b?sig=1%2F2", ""},
		"a redirect to itself is a path":      {read, 307, "http://HOST/v2/shared/app/blobs/x?y=%2F", 307, "/v2/shared/app/blobs/x?y=%2F", ""},
		"a session by a whole URL":            {start, 202, "http://HOST/v2/shared/app/blobs/uploads/1?_state=a%3D%3D", 202, "/v2/shared/app/blobs/uploads/*", ""},
		"a session by a path":                 {start, 202, "/upload/1", 202, "/v2/shared/app/blobs/uploads/*", ""},
		"a session by a relative path":        {start, 202, "1", 202, "/v2/shared/app/blobs/uploads/*", ""},
		"a session at another host":           {start, 202, "http://evil.example.com/1", 502, "", "another host"},
		"a session at another host, no proto": {start, 202, "//evil.example.com/1", 502, "", "another host"},
		"a session at an address of no host":  {start, 202, "mailto:x", 502, "", "another host"},
		"too long a session":                  {start, 202, "/" + strings.Repeat("x", 1600), 502, "", "too long"},
		"a blob at another place":             {start + "?digest=" + digestOf("x"), 201, "http://s3/x", 201, "/v2/shared/app/blobs/" + digestOf("x"), ""},
		"a blob by a whole URL":               {start + "?digest=" + digestOf("x"), 201, "http://HOST/v2/shared/app/blobs/" + digestOf("y"), 201, "/v2/shared/app/blobs/" + digestOf("y"), ""},
		"a manifest by a whole URL":           {"PUT /v2/shared/app/manifests/latest", 201, "https://x/v2/shared/app/manifests/" + digestOf("y"), 201, "/v2/shared/app/manifests/latest", ""},
		"no answer at all":                    {read, 101, "", 502, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.location != "" {
					w.Header().Set("Location", strings.Replace(c.location, "HOST", r.Host, 1))
				}
				w.Header().Set("WWW-Authenticate", `Bearer realm="https://evil"`)
				w.Header().Set("Set-Cookie", "a=b")
				w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, errorBody)
			})))
			a := g.want(t, c.want, "alice", c.line, "")
			got := a.header.Get("Location")
			prefix, open := strings.CutSuffix(c.wantLoc, "*")
			if got != c.wantLoc && (!open || !strings.HasPrefix(got, prefix)) {
				t.Errorf("Location is %q, want %q", got, c.wantLoc)
			}
			if !strings.Contains(a.body, c.body) {
				t.Errorf("body is %s", a.body)
			}
			for _, name := range []string{"WWW-Authenticate", "Set-Cookie"} {
				if v := a.header.Get(name); v != "" {
					t.Errorf("%s is %q", name, v)
				}
			}
		})
	}
}

func TestRefusalsOfAnUpstreamThatGetsTheCredentialsOfClientsAreTheirs(t *testing.T) {
	t.Parallel()
	to := behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "not you")
	}))
	to.PassCredentials = true
	g := newGateway(t, to)
	if a := g.want(t, http.StatusForbidden, "alice", "GET /v2/shared/app/manifests/latest", ""); a.body != "not you" {
		t.Errorf("body is %q", a.body)
	}
}

func TestAnAnswerThatBreaksOffIsSeenToBreakOff(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]string{"with a length": "10", "in chunks": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/v2/shared/app/blobs/"+digestOf("x"), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("alice", "pw")
			resp, err := g.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if string(body) != "half" || err == nil {
				t.Errorf("the client got %q, %v", body, err)
			}
		})
	}
}
