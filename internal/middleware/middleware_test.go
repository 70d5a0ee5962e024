package middleware_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moorgate/moorgate/internal/middleware"
	"github.com/moorgate/moorgate/internal/reqctx"
)

// logBuffer is what was logged, for several goroutines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, nil))
}

func TestChainKeepsTheOrder(t *testing.T) {
	t.Parallel()
	var seen []string
	note := func(name string) middleware.Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	last := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen = append(seen, "handler") })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	middleware.Chain(last, note("first"), note("second")).ServeHTTP(httptest.NewRecorder(), r)
	if want := []string{"first", "second", "handler"}; !slices.Equal(seen, want) {
		t.Errorf("the order is %v", seen)
	}
}

func TestRequestIDIsOurs(t *testing.T) {
	t.Parallel()
	var ids []string
	h := middleware.RequestID()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ids = append(ids, reqctx.ID(r.Context()))
	}))
	for range 3 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("X-Request-Id", "chosen-by-the-client")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header()["X-Request-Id"]; len(got) != 1 || got[0] != ids[len(ids)-1] {
			t.Errorf("the handler sees %s, the client gets %v", ids[len(ids)-1], got)
		}
	}
	if len(ids[0]) < 20 || ids[0] == ids[1] || ids[1] == ids[2] || slices.Contains(ids, "chosen-by-the-client") {
		t.Errorf("the identifiers are %v", ids)
	}
}

// A panic breaks the connection of its request, so that no client takes half an
// answer for a whole one, and nothing else.
func TestRecover(t *testing.T) {
	t.Parallel()
	var log logBuffer
	s := httptest.NewServer(middleware.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/half":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "01234")
			_ = http.NewResponseController(w).Flush()
			panic("half an answer")
		case "/none":
			panic("no answer")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	}), middleware.RequestID(), middleware.Recover(log.logger())))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(s.Close)
	get := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		return err
	}
	for path, logged := range map[string]string{"/half": "half an answer", "/none": "no answer", "/abort": ""} {
		before := len(log.String())
		if err := get(path); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: the client sees %v", path, err)
		}
		text := log.String()[before:]
		if (text != "") != (logged != "") || !strings.Contains(text, logged) {
			t.Errorf("%s: the log says %s", path, text)
		}
		if logged != "" && (!strings.Contains(text, `"id":"`) || !strings.Contains(text, "middleware_test.go")) {
			t.Errorf("%s: the log does not say where, or for which request: %s", path, text)
		}
		if err := get("/"); err != nil {
			t.Errorf("after %s the server says %v", path, err)
		}
	}
}
