package middleware_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/middleware"
)

// annotator is the response writer of the access log, as handlers know it.
type annotator interface{ Annotate(key, value string) }

// logged sends a request through the access log and returns its line.
func logged(t *testing.T, r *http.Request, h http.HandlerFunc) (line map[string]any, text string) {
	t.Helper()
	var log logBuffer
	chain := middleware.Chain(h, middleware.RequestID(), middleware.Client(nil), middleware.Idle(0),
		middleware.AccessLog(log.logger()), middleware.Recover(log.logger()))
	func() {
		defer func() { _ = recover() }()
		chain.ServeHTTP(httptest.NewRecorder(), r)
	}()
	for text := range strings.Lines(log.String()) {
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == "request" {
			return line, text
		}
	}
	t.Fatalf("no line for the request: %s", log.String())
	return nil, ""
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v2/a/manifests/v1?token=secret-in-the-query", strings.NewReader("secret-in-the-body"))
	r.RemoteAddr = "192.0.2.7:1234"
	r.Header.Set("Authorization", "Basic c2VjcmV0LWluLWEtaGVhZGVy")
	r.Header.Set("Cookie", "secret-in-a-cookie")
	r.Header.Set("User-Agent", "docker/28\n\"quoted\"")
	line, text := logged(t, r, func(w http.ResponseWriter, r *http.Request) {
		w.(annotator).Annotate("user", "alice")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "0123456789")
		_, _ = io.Copy(w, r.Body)
	})
	for _, secret := range []string{"secret", "c2VjcmV0", "token"} {
		if strings.Contains(text, secret) {
			t.Errorf("the line has a secret: %s", text)
		}
	}
	if id, _ := line["id"].(string); len(id) < 20 {
		t.Errorf("the identifier is %v", line["id"])
	}
	if _, ok := line["ms"].(float64); !ok {
		t.Errorf("the time is %v", line["ms"])
	}
	for _, key := range []string{"id", "ms", "time", "level", "msg"} {
		delete(line, key)
	}
	want := map[string]any{
		"client": "192.0.2.7", "method": "PUT", "path": "/v2/a/manifests/v1", "status": 201.0, "bytes": 28.0,
		"agent": "docker/28\n\"quoted\"", "user": "alice",
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	if strings.Count(text, "\n") != 1 {
		t.Errorf("it is not one line: %q", text)
	}
}

func TestAccessLogCounts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method  string
		handler http.HandlerFunc
		status  float64
		bytes   float64
		aborted any
	}{
		"nothing written": {"GET", func(http.ResponseWriter, *http.Request) {}, 200, 0, nil},
		"no status":       {"GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") }, 200, 4, nil},
		"head":            {"HEAD", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") }, 200, 0, nil},
		"status twice": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
			w.WriteHeader(http.StatusOK)
		}, 404, 0, nil},
		"copied": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 1_000_000))})
		}, 200, 1_000_000, nil},
		"panic": {"GET", func(http.ResponseWriter, *http.Request) { panic("x") }, 0, 0, true},
		"panic after a part": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "text")
			panic(http.ErrAbortHandler)
		}, 200, 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, _ := logged(t, httptest.NewRequestWithContext(t.Context(), test.method, "/", nil), test.handler)
			if line["status"] != test.status || line["bytes"] != test.bytes || line["aborted"] != test.aborted {
				t.Errorf("the line has status %v, bytes %v, aborted %v", line["status"], line["bytes"], line["aborted"])
			}
		})
	}
}

// A client cannot fill the log.
func TestAccessLogIsBounded(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+strings.Repeat("x", 100_000), nil)
	r.Header.Set("User-Agent", strings.Repeat("y", 100_000))
	r.Method = strings.Repeat("Z", 100_000)
	if _, text := logged(t, r, func(http.ResponseWriter, *http.Request) {}); len(text) > 2000 {
		t.Errorf("the line has %d bytes", len(text))
	}
}
