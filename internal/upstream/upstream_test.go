package upstream

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
)

const hidden = "s3cr3t-pa55word"

var pullApp = []access.Grant{{Type: access.RepositoryType, Name: "team/app", Actions: []string{"pull"}}}

// start returns an Upstream that does not wait before trying again.
func start(t testing.TB, c Config) *Upstream {
	t.Helper()
	u, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	u.sender.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	t.Cleanup(func() { _ = u.Close() })
	return u
}

// serve starts a plain server, open to all.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// request is one as a server would hand it over.
func request(t testing.TB, method, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://gate.example"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// do sends r and returns status and body.
func do(t testing.TB, u *Upstream, r *http.Request, grants []access.Grant) (int, string) {
	t.Helper()
	resp, err := u.Do(r, grants)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// fails sends r and wants an error of a kind, which holds no secret.
func fails(t testing.TB, u *Upstream, r *http.Request, want error) {
	t.Helper()
	_ = failure(t, u, r, want)
}

// failure is fails, and returns the error.
func failure(t testing.TB, u *Upstream, r *http.Request, want error) error {
	t.Helper()
	resp, err := u.Do(r, pullApp)
	if err == nil {
		resp.Body.Close()
		t.Fatalf("answered %s, want error %v", resp.Status, want)
	}
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	noSecret(t, err.Error())
	return err
}

func noSecret(t testing.TB, text string) {
	t.Helper()
	for _, s := range []string{hidden, "czNjcjN0", "token-of-"} {
		if strings.Contains(text, s) {
			t.Errorf("a secret shows in %q", text)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no url":              {Config{}, "write http://"},
		"no scheme":           {Config{URL: "registry:5000"}, "write http://"},
		"other scheme":        {Config{URL: "ftp://registry"}, "write http://"},
		"bad port":            {Config{URL: "http://u:" + hidden + "/x@registry"}, "write http://"},
		"path":                {Config{URL: "http://registry/v2/"}, "write http://registry"},
		"user":                {Config{URL: "http://u:" + hidden + "@registry"}, "password_file"},
		"query":               {Config{URL: "http://registry?a=b"}, "take out"},
		"no host":             {Config{URL: "https://"}, "host is missing"},
		"relative socket":     {Config{URL: "unix:run/r.sock"}, "full path"},
		"host before socket":  {Config{URL: "unix://run/r.sock"}, "full path"},
		"missing CA":          {Config{URL: "https://r", CA: "/no/such/file"}, "upstream ca"},
		"empty CA":            {Config{URL: "https://r", CA: empty}, "holds no certificate"},
		"realm with scheme":   {Config{URL: "https://r", Realms: []string{"https://auth"}}, "not a host"},
		"realm with path":     {Config{URL: "https://r", Realms: []string{"auth/token"}}, "not a host"},
		"bare IPv6 realm":     {Config{URL: "https://r", Realms: []string{"::1"}}, "not a host"},
		"empty realm":         {Config{URL: "https://r", Realms: []string{""}}, "not a host"},
		"realm with password": {Config{URL: "https://r", Realms: []string{"u:" + hidden + "@auth"}}, "not a host"},
		"negative timeout":    {Config{URL: "https://r", Timeout: -1}, "negative"},
		"no password":         {Config{URL: "https://r", Username: "u"}, "password_file"},
		"no username":         {Config{URL: "https://r", Password: hidden}, "username"},
		"colon":               {Config{URL: "https://r", Username: "a:b", Password: hidden}, "colon"},
		"line break":          {Config{URL: "https://r", Username: "a", Password: hidden + "\n"}, "line break"},
		"both credentials":    {Config{URL: "https://r", Username: "a", Password: hidden, PassCredentials: true}, "not both"},
	} {
		_, err := New(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, c.want)
			continue
		}
		noSecret(t, err.Error())
	}
	for _, good := range []string{"http://r", "http://r/", "https://r:443", "https://[::1]:5000", "unix:/run/r.sock", "unix:///run/r.sock"} {
		if _, err := New(Config{URL: good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestConfigAndUpstreamHideThePassword(t *testing.T) {
	t.Parallel()
	c := Config{URL: "http://registry:5000", Username: "gate", Password: hidden}
	u := start(t, c)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "config", c, "pointer", &c)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&log, format+format+format, c, &c, struct{ C Config }{c})
	}
	fmt.Fprintf(&log, "%+v %#v %+v %+v", u.login, u.login.basic, token{header: newSecret("token-of-x")}, u)
	noSecret(t, log.String())
	if !strings.Contains(log.String(), "registry:5000") {
		t.Errorf("the log shows nothing of the config: %s", &log)
	}
	c.URL = "http://u:" + hidden + "@r"
	noSecret(t, c.String())
}

func TestDoAddsAndLosesNothing(t *testing.T) {
	t.Parallel()
	var got *http.Request
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		got = r
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = w.Write([]byte("not really gzip"))
	})
	u := start(t, Config{URL: s.URL})
	r := request(t, http.MethodGet, "/v2/team/app/blobs/sha256:a?x=%2f&y", nil)
	r.Header = http.Header{"Accept": {"a", "b"}, "Authorization": {"Basic of the client"}, "X-Forwarded-For": {"192.0.2.1"}}
	before := r.Header.Clone()
	status, body := do(t, u, r, nil)
	if status != http.StatusTemporaryRedirect || body != "not really gzip" {
		t.Errorf("answer %d %q", status, body)
	}
	if diff := cmp.Diff(before, r.Header); diff != "" {
		t.Errorf("the request of the caller changed: %s", diff)
	}
	if got.Host != "gate.example" || got.RequestURI != "/v2/team/app/blobs/sha256:a?x=%2f&y" {
		t.Errorf("upstream saw %s %s", got.Host, got.RequestURI)
	}
	want := http.Header{"Accept": {"a", "b"}, "X-Forwarded-For": {"192.0.2.1"}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("headers at the upstream (-want +got):\n%s", diff)
	}
}

func TestResponseDoesNotShowTheCredentials(t *testing.T) {
	t.Parallel()
	s := serve(t, basicRegistry(nil))
	u := start(t, Config{URL: s.URL, Username: "gate", Password: hidden})
	r := request(t, http.MethodGet, "/v2/x/tags/list", nil)
	resp, err := u.Do(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || len(resp.Request.Header) != 0 {
		t.Errorf("answer %d to %v", resp.StatusCode, resp.Request)
	}
	if got := resp.Request.URL.String(); got != s.URL+"/v2/x/tags/list" {
		t.Errorf("it came from %s", got)
	}
}

func TestPassCredentials(t *testing.T) {
	t.Parallel()
	var seen []string
	var probes atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			probes.Add(1)
		}
		seen = r.Header.Values("Authorization")
		w.Header().Set("WWW-Authenticate", "Basic realm=x")
		w.WriteHeader(http.StatusUnauthorized)
	})
	u := start(t, Config{URL: s.URL, PassCredentials: true})
	r := request(t, http.MethodGet, "/v2/x/tags/list", nil)
	r.Header.Set("Authorization", "Basic of-the-client")
	if status, _ := do(t, u, r, pullApp); status != http.StatusUnauthorized {
		t.Errorf("status %d, want that of the upstream", status)
	}
	if diff := cmp.Diff([]string{"Basic of-the-client"}, seen); diff != "" || probes.Load() != 0 {
		t.Errorf("%d probes, %s", probes.Load(), diff)
	}
	if err := u.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "r.sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Host)) }))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	u := start(t, Config{URL: "unix:" + path})
	if _, host := do(t, u, request(t, http.MethodGet, "/v2/x", nil), nil); host != "gate.example" {
		t.Errorf("host %q, want that of the client", host)
	}
	r := request(t, http.MethodGet, "/v2/x", nil)
	r.Host = ""
	if _, host := do(t, u, r, nil); host != "localhost" {
		t.Errorf("host %q without one of the client", host)
	}
}

func TestTLSTrustsOnlyTheNamedAuthority(t *testing.T) {
	t.Parallel()
	var protocol string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { protocol = r.Proto }))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	trusting := start(t, Config{URL: s.URL, CA: ca})
	if status, _ := do(t, trusting, request(t, http.MethodPost, "/v2/x", strings.NewReader("body")), nil); status != http.StatusOK || protocol != "HTTP/2.0" {
		t.Errorf("status %d by %s", status, protocol)
	}
	wary := start(t, Config{URL: s.URL})
	tries := 0
	wary.sender.sleep = func(context.Context, time.Duration) error { tries++; return nil }
	fails(t, wary, request(t, http.MethodGet, "/v2/x", nil), ErrUnreachable)
	if tries != 0 {
		t.Errorf("an untrusted certificate was tried %d times more", tries)
	}
}

func TestTransportSettings(t *testing.T) {
	t.Parallel()
	tr := start(t, Config{URL: "https://registry"}).sender.registry.(patient).RoundTripper.(*http.Transport)
	if tr.Proxy != nil || !tr.DisableCompression || !tr.ForceAttemptHTTP2 || tr.ResponseHeaderTimeout != 900*time.Second {
		t.Errorf("transport %+v", tr)
	}
}

// With the credentials of the gateway, or over TLS, a client does not choose the
// name that a registry is called by: it may lead to another one.
func TestWhoGetsTheCredentialsIsNotForTheClientToName(t *testing.T) {
	t.Parallel()
	var host string
	answer := func(_ http.ResponseWriter, r *http.Request) { host = r.Host }
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) { basicRegistry(nil)(w, r); answer(w, r) })
	secure := httptest.NewTLSServer(http.HandlerFunc(answer))
	t.Cleanup(secure.Close)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		own    bool
	}{
		"nothing to lose": {Config{URL: plain.URL}, false},
		"credentials":     {Config{URL: plain.URL, Username: "gate", Password: hidden}, true},
		"TLS":             {Config{URL: secure.URL, CA: ca}, true},
		"those of client": {Config{URL: plain.URL, PassCredentials: true}, false},
	} {
		host = ""
		u := start(t, c.config)
		do(t, u, request(t, http.MethodGet, "/v2/x/tags/list", nil), nil)
		want := "gate.example"
		if c.own {
			want = u.at.host
		}
		if host != want {
			t.Errorf("%s: the registry is called %q, want %q", name, host, want)
		}
	}
}
