package middleware_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/middleware"
)

// How files are sent must not change what is sent, nor what is counted.
func TestFilesAreSentWhole(t *testing.T) {
	t.Parallel()
	var log logBuffer
	dir := t.TempDir()
	s := httptest.NewServer(middleware.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(filepath.Join(dir, filepath.Base(r.URL.Path)))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close() //nolint:errcheck // it was only read
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, f)
	}), middleware.Idle(20*time.Second), middleware.AccessLog(log.logger())))
	t.Cleanup(s.Close)
	random := rand.NewChaCha8([32]byte{})
	for _, size := range []int{0, 1, 511, 512, 513, 256<<10 - 1, 256 << 10, 256<<10 + 1, 512 << 10, 3<<20 + 7} {
		content := make([]byte, size)
		_, _ = random.Read(content)
		name := strconv.Itoa(size)
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		type test struct {
			method, header string
			want           []byte
		}
		tests := []test{{"GET", "", content}, {"HEAD", "", nil}}
		if size > 1000 {
			tests = append(
				tests, test{"GET", "bytes=1-", content[1:]}, test{"GET", "bytes=5-300000", content[5:min(300001, size)]},
				test{"GET", "bytes=-7", content[size-7:]}, test{"HEAD", "bytes=1-", nil},
			)
		}
		for _, test := range tests {
			what := test.method + " of " + name + " " + test.header
			before := len(log.String())
			got, length := fetch(t, s, test.method, name, test.header)
			if !bytes.Equal(got, test.want) {
				t.Errorf("%s: %d bytes came, want %d, or they are others", what, len(got), len(test.want))
			}
			if test.method == "HEAD" && test.header == "" && length != int64(size) {
				t.Errorf("%s: Content-Length is %d", what, length)
			}
			if n := loggedBytes(t, &log, before); n != len(test.want) {
				t.Errorf("%s: %d bytes are logged, want %d", what, n, len(test.want))
			}
		}
	}
}

// fetch returns the body and what Content-Length says.
func fetch(t *testing.T, s *httptest.Server, method, name, ranges string) (body []byte, length int64) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body, resp.ContentLength
}

// loggedBytes waits for the line of a request, which comes after the answer.
func loggedBytes(t *testing.T, log *logBuffer, before int) int {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	tooLong := time.After(time.Minute)
	for !strings.HasSuffix(log.String()[before:], "\n") {
		select {
		case <-tick.C:
		case <-tooLong:
			t.Fatal("the request is not logged")
		}
	}
	var line struct{ Bytes int }
	if err := json.Unmarshal([]byte(log.String()[before:]), &line); err != nil {
		t.Fatal(err)
	}
	return line.Bytes
}

// lender is a response writer that can take files.
type lender struct {
	http.ResponseWriter
	sources []io.Reader
}

func (l *lender) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		l.sources = append(l.sources, limited.R)
	} else {
		l.sources = append(l.sources, r)
	}
	return io.Copy(io.Discard, r)
}

// net/http sends a file without copying only if it sees the file, behind one
// limit at most.
func TestFilesArePassedOn(t *testing.T) {
	t.Parallel()
	const size = 600 << 10
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	l := &lender{ResponseWriter: httptest.NewRecorder()}
	var log logBuffer
	h := middleware.Chain(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.CopyN(w, f, size-1); n != size-1 || err != nil { // as http.ServeContent does
			t.Errorf("%d bytes were copied: %v", n, err)
		}
	}), middleware.Idle(time.Second), middleware.AccessLog(log.logger()), middleware.Recover(log.logger()))
	h.ServeHTTP(l, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if len(l.sources) < 2 {
		t.Errorf("the deadline could move only %d times", len(l.sources))
	}
	for _, source := range l.sources {
		if source != f {
			t.Errorf("net/http sees %T instead of the file", source)
		}
	}
	if rest, err := io.Copy(io.Discard, f); rest != 1 || err != nil {
		t.Errorf("%d bytes of the file are left: %v", rest, err)
	}
}
