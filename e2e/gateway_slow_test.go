package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/testserver"
)

// impatience is an idle timeout: short, but not so short that a client on a busy
// machine looks idle. slowness is what a slow registry takes: more than that.
const (
	impatience = 4 * time.Second
	slowness   = 9 * time.Second
)

// slowRegistry stands in front of a registry. Each GET and each PUT takes it
// slowness: before the answer begins, with all that was sent in its hands, or in
// the middle of the bytes that go either way.
type slowRegistry struct {
	*httputil.ReverseProxy
	inTheMiddle bool
}

func startSlowRegistry(t *testing.T, inTheMiddle bool) string {
	t.Helper()
	behind, err := url.Parse(startUpstream(t, ownRegistry))
	if err != nil {
		t.Fatal(err)
	}
	s := &slowRegistry{inTheMiddle: inTheMiddle, ReverseProxy: &httputil.ReverseProxy{
		FlushInterval: -1, // what is there goes out
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Host = r.In.Host // or Locations would name the registry behind
		},
	}}
	if inTheMiddle {
		s.ModifyResponse = func(r *http.Response) error {
			if r.Request.Method == http.MethodGet {
				r.Body = &pausing{ReadCloser: r.Body, r: r.Request, before: r.ContentLength / 2}
			}
			return nil
		}
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

func (s *slowRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPut && s.inTheMiddle:
		r.Body = &pausing{ReadCloser: r.Body, r: r, before: r.ContentLength / 2}
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone, and sees what it did
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		pause(r)
	case r.Method == http.MethodGet && !s.inTheMiddle:
		pause(r)
	}
	s.ReverseProxy.ServeHTTP(w, r)
}

// pause waits as long as a slow registry does, or until nobody waits for it.
func pause(r *http.Request) {
	timer := time.NewTimer(slowness)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// pausing is a body, of r or of its answer, that pauses once some bytes of it
// were read.
type pausing struct {
	io.ReadCloser
	r      *http.Request
	before int64 // bytes to read before the pause; negative after it
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.before == 0 {
		pause(p.r)
		p.before = -1
	}
	if p.before > 0 {
		b = b[:min(int64(len(b)), p.before)]
	}
	n, err := p.ReadCloser.Read(b)
	if p.before > 0 {
		p.before -= int64(n)
	}
	return n, err
}

// TestGatewayWaitsForASlowUpstream: the idle timeout is about clients. One that
// waits for the registry behind is not cut, however short the timeout is.
func TestGatewayWaitsForASlowUpstream(t *testing.T) {
	t.Parallel()
	for where, inTheMiddle := range map[string]bool{"before its answers": false, "in the middle": true} {
		for protocol, major := range map[string]int{"HTTP 1.1": 1, "HTTP 2": 2} {
			t.Run(where+" over "+protocol, func(t *testing.T) {
				t.Parallel()
				reg := startImpatientGateway(t, startSlowRegistry(t, inTheMiddle))
				transport := httpsClient(t, reg.ca).Transport.(*http.Transport)
				transport.ForceAttemptHTTP2 = major == 2
				slowPushAndPull(t, reg, &http.Client{Transport: transport}, major)
			})
		}
	}
}

func startImpatientGateway(t *testing.T, upstream string) *registry {
	t.Helper()
	dir := t.TempDir()
	reg := &registry{ca: filepath.Join(dir, "ca.crt"), password: rand.Text()}
	cert, key := writeCertificates(t, dir)
	file := filepath.Join(dir, "gateway.yaml")
	writeFile(t, file, fmt.Sprintf(audited+"login: [{htpasswd: {file: %s}}]\nupstreams: [{url: %q}]\nlimits: {idle_timeout: %s}\n",
		people{"alice": reg.password}.write(t, dir), upstream, impatience))
	reg.Server = testserver.StartAs(t, "proxy", "--config", file, "--tls-cert", cert, "--tls-key", key)
	printLogAtFailure(t, reg.Server)
	return reg
}

// slowPushAndPull pushes a blob and a manifest, and pulls both.
func slowPushAndPull(t *testing.T, reg *registry, client *http.Client, major int) {
	t.Helper()
	ask := func(method, target, mediaType string, body []byte, status int) (location string, got []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("alice", reg.password)
		req.Header.Set("Content-Type", mediaType)
		begun := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s after %s: %v", method, time.Since(begun), err)
		}
		defer resp.Body.Close()
		got, err = io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("%s after %s: %v", method, time.Since(begun), err)
		}
		if resp.StatusCode != status || resp.ProtoMajor != major {
			t.Fatalf("%s: status %d over %s, want %d\n%s", method, resp.StatusCode, resp.Proto, status, got)
		}
		if took := time.Since(begun); method != http.MethodPost && took < slowness {
			t.Errorf("%s took %s: the registry was not slow", method, took)
		}
		return resp.Header.Get("Location"), got
	}
	// More than fits into what lies between a client and a registry.
	content := make([]byte, 32<<20)
	_, _ = rand.Read(content) // never fails
	layer := digest.FromBytes(content)
	repo := reg.URL + "/v2/team/slow"

	location, _ := ask(http.MethodPost, repo+"/blobs/uploads/", "", nil, http.StatusAccepted)
	session, err := url.Parse(reg.URL)
	if err == nil {
		session, err = session.Parse(location)
	}
	if err != nil {
		t.Fatal(err)
	}
	session.RawQuery += "&" + url.Values{"digest": {layer.String()}}.Encode()
	ask(http.MethodPut, session.String(), "application/octet-stream", content, http.StatusCreated)
	manifest := asJSON(t, section{
		"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "artifactType": "application/vnd.example.slow",
		"config": v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: layer, Size: int64(len(content))},
		"layers": []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: layer, Size: int64(len(content))}},
	})
	ask(http.MethodPut, repo+"/manifests/v1", v1.MediaTypeImageManifest, manifest, http.StatusCreated)

	_, got := ask(http.MethodGet, repo+"/manifests/v1", "", nil, http.StatusOK)
	same(t, string(manifest), string(got))
	_, got = ask(http.MethodGet, repo+"/blobs/"+layer.String(), "", nil, http.StatusOK)
	if !bytes.Equal(got, content) {
		t.Errorf("the blob came back as %d other bytes", len(got))
	}
}
