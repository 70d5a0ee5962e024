package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// patience bounds the wait for anything that has to happen soon: on a machine that is
// busy with other tests that may be late.
const patience = time.Minute

// eventually waits until ok, and fails the test if that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-timeout.C:
			t.Fatalf("waited %s in vain: %s", patience, what)
		case <-tick.C:
		}
	}
}

// logged waits until the server has logged all of words in one line.
func logged(t *testing.T, s *testserver.Server, words ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("a log line with %q", words), func() bool { return hasLine(s.Log(), words...) })
}

func hasLine(log string, words ...string) bool {
lines:
	for line := range strings.Lines(log) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return true
	}
	return false
}

// start runs a server with the configuration, and prints its log if the test
// fails.
func start(t *testing.T, config string, args ...string) *testserver.Server {
	t.Helper()
	s := testserver.Start(t, withConfig(t, config, args)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.Log())
		}
	})
	return s
}

func withConfig(t *testing.T, config string, args []string) []string {
	t.Helper()
	if config == "" {
		return args
	}
	return append(args, "--config", write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), config))
}

// write puts a file there and returns its path.
func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// client is one user of a server, with connections of its own.
type client struct {
	http           *http.Client
	url            string
	user, password string
}

// newClient returns a client without a name. Its connections end with the test.
func newClient(t *testing.T, s *testserver.Server, trust *tls.Config) *client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{http: &http.Client{Transport: transport}, url: s.URL}
}

// as returns the client signed in.
func (c client) as(user, password string) *client {
	testserver.Secret(password)
	c.user, c.password = user, password
	return &c
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// code returns the first error code of the body, or "".
func (a answer) code() string {
	var parsed struct {
		Errors []struct{ Code string }
	}
	if json.Unmarshal(a.body, &parsed) != nil || len(parsed.Errors) == 0 {
		return ""
	}
	return parsed.Errors[0].Code
}

func (c *client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, err
	}
	if c.user != "" {
		r.SetBasicAuth(c.user, c.password)
	}
	return r, nil
}

// try sends a request. It is for goroutines other than the test's.
func (c *client) try(ctx context.Context, method, path string, body io.Reader, headers ...string) (answer, error) {
	r, err := c.request(ctx, method, path, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: content}, err
}

// do sends a request that must be answered.
func (c *client) do(t *testing.T, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	a, err := c.try(t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// want sends a request that must be answered with a status.
func (c *client) want(t *testing.T, status int, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	a := c.do(t, method, path, body, headers...)
	if a.status != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", method, path, a.status, status, a.body)
	}
	return a
}

// session starts an upload and returns its path.
func (c *client) session(t *testing.T, repo string) string {
	t.Helper()
	return c.want(t, http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil).header.Get("Location")
}

// push pushes a blob and returns its digest.
func (c *client) push(t *testing.T, repo string, content []byte) string {
	t.Helper()
	d := digestOf(content)
	c.want(t, http.StatusCreated, http.MethodPut, c.session(t, repo)+"?digest="+d, bytes.NewReader(content))
	return d
}

// holds fails the test unless the blob is there, byte for byte.
func (c *client) holds(t *testing.T, repo string, content []byte) {
	t.Helper()
	a := c.want(t, http.StatusOK, http.MethodGet, "/v2/"+repo+"/blobs/"+digestOf(content), nil)
	if !bytes.Equal(a.body, content) {
		t.Fatalf("blob %s came back as other bytes", digestOf(content))
	}
}

// manifest returns an image manifest that names one blob, twice, and has an
// annotation of n bytes.
func manifest(blob []byte, n int) []byte {
	d := map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digestOf(blob), "size": len(blob)}
	m, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": d, "layers": []any{d},
		"annotations": map[string]string{"id": rand.Text(), "text": strings.Repeat("x", n)},
	})
	if err != nil {
		panic(err) // maps of strings
	}
	return m
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// uploads returns the files of unfinished uploads in a data directory.
func uploads(t *testing.T, data string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "uploads", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}
