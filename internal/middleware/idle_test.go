package middleware_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/middleware"
)

// result is how an I/O operation of a handler ended.
type result struct {
	n   int64
	err error
}

func TestStalledUploadIsCut(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{"after a part": "some", "at once": ""} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, http2 bool) {
				results := make(chan result, 1)
				s, _ := idleServer(t, http2, 200*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
					n, err := io.Copy(io.Discard, r.Body)
					results <- result{n, err}
				})
				body, send := io.Pipe()
				defer send.Close() //nolint:errcheck // it never fails
				go upload(t, s, body, nil)
				if first != "" {
					if _, err := io.WriteString(send, first); err != nil {
						t.Fatal(err)
					}
				}
				if r := <-results; r.n != int64(len(first)) || !errors.Is(r.err, os.ErrDeadlineExceeded) {
					t.Errorf("%d bytes came, then %v", r.n, r.err)
				}
			})
		})
	}
}

// upload sends body in a request and returns how that ended.
func upload(t *testing.T, s *httptest.Server, body io.Reader, answers chan<- string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, body)
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := s.Client().Do(req)
	if answers == nil {
		if err == nil {
			resp.Body.Close()
		}
		return
	}
	if err != nil {
		answers <- err.Error()
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	answers <- fmt.Sprint(resp.StatusCode, " ", string(text), " ", err)
}

// An upload that takes much longer than the idle timeout is fine as long as it
// moves; and what the handler does afterwards may take its time, too.
func TestSlowUploadIsNotCut(t *testing.T) {
	t.Parallel()
	const idle = time.Second
	eachVersion(t, func(t *testing.T, http2 bool) {
		s, _ := idleServer(t, http2, idle, func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			select {
			case <-time.After(idle + idle/4):
			case <-r.Context().Done():
				err = errors.Join(err, r.Context().Err())
			}
			_, _ = io.WriteString(w, fmt.Sprint(n, " ", err))
		})
		body, send := io.Pipe()
		answers := make(chan string, 1)
		go upload(t, s, body, answers)
		tick := time.NewTicker(idle / 8)
		defer tick.Stop()
		for range 12 {
			<-tick.C
			if _, err := send.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		send.Close() //nolint:errcheck // it never fails
		if a := <-answers; a != "200 12 <nil> <nil>" {
			t.Errorf("the upload ends with %s", a)
		}
	})
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestStalledDownloadIsCut(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, http2 bool) {
		results := make(chan result, 1)
		s, _ := idleServer(t, http2, 200*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
			n, err := io.Copy(w, endless{})
			results <- result{n, err}
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if r := <-results; r.err == nil {
			t.Errorf("%d bytes were sent to a client that reads none", r.n)
		}
	})
}

// A client that reads slowly gets all of it.
func TestSlowDownloadIsNotCut(t *testing.T) {
	t.Parallel()
	const size, idle = 10 << 20, time.Second // which take two and a half; 4 MiB may be on the way
	eachVersion(t, func(t *testing.T, http2 bool) {
		results := make(chan result, 1)
		s, _ := idleServer(t, http2, idle, func(w http.ResponseWriter, _ *http.Request) {
			start := time.Now()
			n, err := io.CopyN(w, endless{}, size)
			if err == nil && time.Since(start) < idle {
				err = errors.New("that was too fast to show anything")
			}
			results <- result{n, err}
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		tick := time.NewTicker(idle / 16)
		defer tick.Stop()
		var got int64
		for got < size {
			n, err := io.CopyN(io.Discard, resp.Body, 256<<10)
			if got += n; err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			<-tick.C
		}
		if r := <-results; r.n != size || r.err != nil {
			t.Errorf("%d bytes were sent: %v", r.n, r.err)
		}
	})
}

// A connection that rests between two requests is not harmed by the deadlines of
// the first one.
func TestDeadlinesEndWithTheirRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, deadlinesEndWithTheirRequest)
}

func deadlinesEndWithTheirRequest(t *testing.T) {
	const idle = 200 * time.Millisecond
	_, l := idleServer(t, false, idle, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(w, r.Body)
		if err != nil {
			t.Error(err)
		}
	})
	conn, err := l.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	in := bufio.NewReader(conn)
	say := func(text string) {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(status int, text string) {
		t.Helper()
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != status || string(body) != text || err != nil {
			t.Fatalf("%d %q %v", resp.StatusCode, body, err)
		}
	}
	rest := time.NewTicker(idle + idle/2)
	defer rest.Stop()
	for range 2 {
		say("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ntext")
		hear(200, "text")
		<-rest.C
		say("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("the server does not ask for the body: %q, %v", line, err)
		}
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		say("text")
		hear(200, "text")
		<-rest.C
		say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		hear(200, "")
		<-rest.C
	}
}

// Without a timeout nothing is cut, and what is no connection is no problem.
func TestNoIdleTimeout(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{0, time.Nanosecond} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", strings.NewReader("text"))
		middleware.Idle(timeout)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})).ServeHTTP(w, r)
		if w.Body.String() != "text" {
			t.Errorf("timeout %v: %q", timeout, w.Body)
		}
	}
}
