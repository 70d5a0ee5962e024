package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/distapi"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/middleware"
	"github.com/moorgate/moorgate/internal/proxy"
	"github.com/moorgate/moorgate/internal/registry"
)

// gateway is a gate with a proxy behind it, on a real port.
type gateway struct {
	*httptest.Server
	handler *proxy.Handler

	mu      sync.Mutex
	denied  []access.Scope // what was audited as denied
	changed []audit.Record // what was audited, but what may be
}

// rules are those of most tests: admin may everything, alice what is in shared/ and
// private/, mallory the same in shared/ but for tags that begin with "v".
func rules() access.Rules {
	return access.Rules{Rules: []access.Rule{
		{Who: []string{"user:admin"}, May: []string{"*"}, Repos: []string{"**"}},
		{Who: []string{"user:alice", "user:mallory"}, May: []string{"pull", "push", "delete", "list"}, Repos: []string{"shared/**"}},
		{Who: []string{"user:alice"}, May: []string{"pull", "push", "delete", "list"}, Repos: []string{"private/**"}},
		{Who: []string{"user:mallory"}, Deny: []string{"overwrite", "delete", "list"}, Repos: []string{"shared/**"}, Tags: []string{"v*"}, Because: "releases are final"},
	}}
}

// newGateway starts a gateway in front of upstreams, with rules().
func newGateway(t testing.TB, upstreams ...proxy.Route) *gateway {
	t.Helper()
	policy, mistakes := access.Compile(rules())
	for _, m := range mistakes {
		if !m.Warning {
			t.Fatal(m)
		}
	}
	g := &gateway{handler: &proxy.Handler{Upstreams: upstreams, Sealer: newSealer(t), Log: logger(t)}}
	h := &gate.Gate{
		Next: g.handler, Sessions: g.handler,
		Login:  &login.Desk{Passwords: people{}, Audit: g.record},
		Policy: func() *access.Policy { return policy },
		Audit:  g.record, Log: logger(t), Now: time.Now, Realm: "test",
	}
	g.Server = httptest.NewServer(middleware.Chain(h,
		middleware.RequestID(), middleware.Client(nil), middleware.Idle(20*time.Second), middleware.Recover(h.Log)))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) record(_ context.Context, r audit.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Outcome != audit.Allowed {
		g.changed = append(g.changed, r)
	}
	if r.Outcome == audit.Denied {
		g.denied = append(g.denied, r.Scope)
	}
}

func newSealer(t testing.TB) *proxy.Sealer {
	t.Helper()
	s, err := proxy.NewSealer(bytes.Repeat([]byte("k"), proxy.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// people all have the password "pw".
type people struct{}

func (people) VerifyPassword(_ context.Context, user, password string) (access.Identity, error) {
	if password != "pw" {
		return access.Identity{}, authn.ErrWrongPassword
	}
	return access.Identity{User: user, Source: "test"}, nil
}

// direct is a Doer that keeps to the contract and does no more.
type direct struct {
	at        *url.URL
	transport *http.Transport

	mu     sync.Mutex
	grants []string // of all requests
}

// behind returns a route to a handler on a port of its own.
func behind(t testing.TB, prefix string, h http.Handler) proxy.Route {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := &direct{at: at, transport: &http.Transport{DisableCompression: true, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}
	t.Cleanup(d.transport.CloseIdleConnections)
	return proxy.Route{Prefix: prefix, Upstream: d}
}

func (d *direct) Do(r *http.Request, grants []access.Grant) (*http.Response, error) {
	d.mu.Lock()
	for _, g := range grants {
		d.grants = append(d.grants, g.String())
	}
	d.mu.Unlock()
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = d.at.Scheme, d.at.Host
	out.Header.Del("Authorization")
	return d.transport.RoundTrip(out)
}

func (d *direct) Check(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.at.String()+"/v2/", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := d.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// newRegistry is a real registry that lets everybody in.
func newRegistry(t testing.TB) http.Handler {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: filepath.Join(dir, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	blobs, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	unrecorded := func(context.Context, audit.Record) {}
	return &gate.Gate{
		Next: &distapi.API{Registry: registry.New(blobs, store, registry.Options{})}, Login: &login.Desk{Audit: unrecorded},
		Policy: access.Open, Audit: unrecorded, Log: logger(t), Now: time.Now, Realm: "test",
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request as user; nobody if "". Headers are lines, "Name: value".
func (g *gateway) do(t testing.TB, user, line, body string, header ...string) answer {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, g.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, "pw")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	return g.send(t, req)
}

func (g *gateway) send(t testing.TB, req *http.Request) answer {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
}

// want is do, with the status that must come back.
func (g *gateway) want(t testing.TB, status int, user, line, body string, header ...string) answer {
	t.Helper()
	a := g.do(t, user, line, body, header...)
	if a.status != status {
		t.Errorf("%s by %s: status %d, want %d; body %.300s", line, user, a.status, status, a.body)
	}
	if v := a.header.Values("Docker-Distribution-Api-Version"); len(v) != 1 || v[0] != "registry/2.0" {
		t.Errorf("%s: Docker-Distribution-Api-Version is %q", line, v)
	}
	return a
}

// wasDenied reports whether the audit has a denial of s.
func (g *gateway) wasDenied(s access.Scope) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.denied {
		if d == s {
			return true
		}
	}
	return false
}
