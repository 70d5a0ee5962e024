package app

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/oci"
)

// hotServer is the handler of a registry, all of it, and its data directory.
func hotServer(b testing.TB) (h http.Handler, data string) {
	b.Helper()
	dir := b.TempDir()
	data = filepath.Join(dir, "data")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		b.Fatal(err)
	}
	users := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(users, append([]byte("alice:"), hash...), 0o600); err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(dir, "moorgate.yaml")
	text := "listen: 127.0.0.1:0\ndata: " + data + "\nlogin: [{htpasswd: {file: " + users + "}}]\n" +
		"access: {rules: [{who: ['*'], repos: ['**'], may: [pull, push]}, {who: [anonymous], repos: ['**'], may: [pull]}]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := config.Load(file)
	if err == nil {
		err = f.Error(config.Serve)
	}
	if err != nil {
		b.Fatal(err)
	}
	s, err := Serve(b.Context(), Source{Config: f.Config, File: file}, slog.New(slog.NewTextHandler(io.Discard, nil)), io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s.http.Handler, data
}

// push makes a request of alice that is answered with 201.
func push(b testing.TB, h http.Handler, method, path, body string) {
	b.Helper()
	r := request(method, path, strings.NewReader(body))
	r.SetBasicAuth("alice", "secret")
	r.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		b.Fatal(w.Code, w.Body)
	}
}

// TestSmallBlobsComeFromMemory: after the first read no file is there to come from.
func TestSmallBlobsComeFromMemory(t *testing.T) {
	t.Parallel()
	h, data := hotServer(t)
	text := strings.Repeat("x", 64<<10)
	d := oci.SHA256.FromString(text)
	push(t, h, http.MethodPost, "/v2/team/app/blobs/uploads/?digest="+d.String(), text)
	for _, when := range []string{"from the disk", "from memory"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request(http.MethodGet, "/v2/team/app/blobs/"+d.String(), nil))
		if w.Code != http.StatusOK || w.Body.String() != text {
			t.Errorf("%s: status %d and %d bytes, want 200 and %d", when, w.Code, w.Body.Len(), len(text))
		}
		_ = os.Remove(filepath.Join(data, "blobs", "sha256", d.Encoded()[:2], d.Encoded())) // the second time it is gone
	}
}

// BenchmarkRequest is what a request costs between net/http and the answer.
func BenchmarkRequest(b *testing.B) {
	h, _ := hotServer(b)
	blob := bytes.Repeat([]byte("x"), 64<<10)
	d := oci.SHA256.FromBytes(blob)
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		d.String() + `","size":65536},"layers":[]}`
	push(b, h, http.MethodPost, "/v2/team/app/blobs/uploads/?digest="+d.String(), string(blob))
	push(b, h, http.MethodPut, "/v2/team/app/manifests/v1", manifest)
	for _, c := range []struct{ name, method, path, password string }{
		{"manifest", http.MethodGet, "/v2/team/app/manifests/v1", ""},
		{"manifest by digest", http.MethodGet, "/v2/team/app/manifests/" + oci.SHA256.FromString(manifest).String(), ""},
		{"manifest, password", http.MethodGet, "/v2/team/app/manifests/v1", "secret"},
		{"blob HEAD", http.MethodHead, "/v2/team/app/blobs/" + d.String(), ""},
		{"blob 64 KiB", http.MethodGet, "/v2/team/app/blobs/" + d.String(), ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			first := request(c.method, c.path, nil)
			if c.password != "" {
				first.SetBasicAuth("alice", c.password)
			}
			b.ReportAllocs()
			for b.Loop() {
				again := *first // which no handler has seen
				h.ServeHTTP(discard{http.Header{}}, &again)
			}
		})
	}
}

func request(method, path string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, path, body)
	r.RemoteAddr = "127.0.0.1:5000"
	return r
}

// discard is the least that an http.ResponseWriter can be.
type discard struct{ header http.Header }

func (d discard) Header() http.Header              { return d.header }
func (d discard) Write(p []byte) (int, error)      { return len(p), nil }
func (d discard) WriteHeader(int)                  {}
func (d discard) SetReadDeadline(time.Time) error  { return nil }
func (d discard) SetWriteDeadline(time.Time) error { return nil }
