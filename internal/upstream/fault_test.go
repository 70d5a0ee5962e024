package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// raw starts a server that talks as talk does. n counts its connections from 1.
func raw(t *testing.T, talk func(n int32, c *net.TCPConn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := int32(1); ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				talk(n, c.(*net.TCPConn))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

const emptyAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// knows makes u believe that the registry is open to all, so that a test sees
// only its own requests.
func knows(u *Upstream) *Upstream {
	u.login.known.Store(&challenge{})
	return u
}

// head reads a request up to its body.
func head(c net.Conn) string {
	var b strings.Builder
	for in := bufio.NewReaderSize(onlyReader{c}, 16); ; {
		line, err := in.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

type onlyReader struct{ io.Reader }

func TestRetriesOfSafeRequestsOnly(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInternalServerError, http.StatusTooManyRequests, http.StatusNotFound} {
		var tries atomic.Int32
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { tries.Add(1); w.WriteHeader(status) })
		u := knows(start(t, Config{URL: s.URL}))
		for _, c := range []struct {
			method string
			body   io.Reader
			safe   bool
		}{
			{http.MethodGet, nil, true},
			{http.MethodHead, nil, true},
			{http.MethodGet, strings.NewReader("x"), false},
			{http.MethodPost, nil, false},
			{http.MethodPut, strings.NewReader("x"), false},
			{http.MethodPatch, strings.NewReader("x"), false},
			{http.MethodDelete, nil, false},
		} {
			want := int32(1)
			if c.safe && status >= http.StatusBadGateway {
				want = attempts
			}
			tries.Store(0)
			if got, _ := do(t, u, request(t, c.method, "/v2/x", c.body), nil); got != status || tries.Load() != want {
				t.Errorf("%s: status %d after %d tries, want %d after %d", c.method, got, tries.Load(), status, want)
			}
		}
	}
}

func TestConnectionsThatBreak(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*net.TCPConn){
		"reset":   func(c *net.TCPConn) { _ = c.SetLinger(0) },
		"closed":  func(*net.TCPConn) {},
		"garbage": func(c *net.TCPConn) { _, _ = io.WriteString(c, "what?\r\n\r\n") },
		"half":    func(c *net.TCPConn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le") },
	} {
		var tries atomic.Int32
		u := knows(start(t, Config{URL: raw(t, func(_ int32, c *net.TCPConn) {
			tries.Add(1)
			head(c)
			end(c)
		})}))
		fails(t, u, request(t, http.MethodGet, "/v2/x", nil), ErrUnreachable)
		if n := tries.Swap(0); n != attempts {
			t.Errorf("%s: GET was tried %d times", name, n)
		}
		for _, r := range []*http.Request{request(t, http.MethodDelete, "/v2/x", nil), request(t, http.MethodPut, "/v2/x", io.MultiReader(strings.NewReader("body")))} {
			fails(t, u, r, ErrUnreachable)
			if n := tries.Swap(0); n != 1 {
				t.Errorf("%s: %s was tried %d times", name, r.Method, n)
			}
		}
	}
}

func TestARetryCanSucceed(t *testing.T) {
	t.Parallel()
	u := knows(start(t, Config{URL: raw(t, func(n int32, c *net.TCPConn) {
		if head(c); n == attempts {
			_, _ = io.WriteString(c, emptyAnswer)
		}
	})}))
	if status, _ := do(t, u, request(t, http.MethodGet, "/v2/x", nil), nil); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func TestWaitsBetweenTries(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for asked, want := range map[string][]time.Duration{
		"":     {100 * time.Millisecond, 400 * time.Millisecond},
		"soon": {100 * time.Millisecond, 400 * time.Millisecond},
		"2":    {2 * time.Second, 2 * time.Second},
		now.Add(3 * time.Second).Format(http.TimeFormat):  {3 * time.Second, 3 * time.Second},
		now.Add(-3 * time.Second).Format(http.TimeFormat): {100 * time.Millisecond, 400 * time.Millisecond},
		"6":          nil,
		"4294967295": nil,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", asked)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		u := knows(start(t, Config{URL: s.URL}))
		var waits []time.Duration
		u.sender.now = func() time.Time { return now }
		u.sender.sleep = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
		do(t, u, request(t, http.MethodGet, "/v2/x", nil), nil)
		if diff := cmp.Diff(want, waits); diff != "" {
			t.Errorf("Retry-After %q (-want +got):\n%s", asked, diff)
		}
	}
}

func TestAWaitEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	u := knows(start(t, Config{URL: s.URL}))
	u.sender.sleep = sleep
	fails(t, u, request(t, http.MethodGet, "/v2/x", nil).WithContext(ctx), context.Canceled)
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	url := s.URL
	s.Close()
	for _, c := range []Config{{URL: url}, {URL: url, Username: "gate", Password: hidden}, {URL: url, PassCredentials: true}, {URL: "unix:/no/such/socket"}} {
		fails(t, start(t, c), request(t, http.MethodGet, "/v2/x", nil), ErrUnreachable)
	}
}

func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	url := raw(t, func(_ int32, c *net.TCPConn) {
		tries.Add(1)
		head(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		<-done
	})
	u := knows(start(t, Config{URL: url, Timeout: 2 * time.Second}))
	err := failure(t, u, request(t, http.MethodGet, "/v2/x", nil), ErrTimeout)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnreachable) || tries.Load() != 1 {
		t.Errorf("error %v after %d tries", err, tries.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	slow := knows(start(t, Config{URL: url}))
	if err := failure(t, slow, request(t, http.MethodGet, "/v2/x", nil).WithContext(ctx), context.DeadlineExceeded); errors.Is(err, ErrTimeout) {
		t.Errorf("the timeout of the caller came out as %v", err)
	}
}

func TestAnUpstreamThatTakesNothingIsLeft(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	u := knows(start(t, Config{Timeout: 100 * time.Millisecond, URL: raw(t, func(int32, *net.TCPConn) { <-done })}))
	body := endless(1<<40, make([]byte, 64<<10))
	fails(t, u, request(t, http.MethodPut, "/v2/x", body), ErrTimeout)
}

func TestAnAnswerThatBreaksOffIsSeen(t *testing.T) {
	t.Parallel()
	u := knows(start(t, Config{URL: raw(t, func(_ int32, c *net.TCPConn) {
		head(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
	})}))
	resp, err := u.Do(request(t, http.MethodGet, "/v2/x", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(b) != "half" {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestAClientThatGoesAwayIsToBlame(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	u := knows(start(t, Config{URL: s.URL}))
	gone := errors.New("client disconnected")
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		cause  error
	}{
		"error":             {io.MultiReader(strings.NewReader("half"), iotest.ErrReader(gone)), -1, gone},
		"error with length": {io.MultiReader(strings.NewReader("half"), iotest.ErrReader(gone)), 10, gone},
		"error at once":     {iotest.ErrReader(gone), -1, gone},
		"early end":         {io.MultiReader(strings.NewReader("half")), 10, io.ErrUnexpectedEOF},
		"too much":          {http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("123456")), 3), -1, nil},
	} {
		r := request(t, http.MethodPut, "/v2/x", c.body)
		r.ContentLength = c.length
		err := failure(t, u, r, ErrBody)
		var large *http.MaxBytesError
		if errors.Is(err, ErrUnreachable) || c.cause != nil && !errors.Is(err, c.cause) || c.cause == nil && !errors.As(err, &large) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A kept connection that turns out to be dead is where net/http sends again by
// itself.
func TestIdempotencyKeysDoNotCauseRepetition(t *testing.T) {
	t.Parallel()
	var deletes atomic.Int32
	var heads atomic.Pointer[string]
	u := knows(start(t, Config{URL: raw(t, func(_ int32, c *net.TCPConn) {
		for {
			h := head(c)
			if !strings.HasPrefix(h, "GET") {
				deletes.Add(1)
				heads.Store(&h)
				return
			}
			_, _ = io.WriteString(c, emptyAnswer)
		}
	})}))
	do(t, u, request(t, http.MethodGet, "/v2/x", nil), nil)
	r := request(t, http.MethodDelete, "/v2/x", nil)
	r.Header.Set("Idempotency-Key", "key")
	r.Header.Set("X-Idempotency-Key", "key")
	fails(t, u, r, ErrUnreachable)
	if deletes.Load() != 1 {
		t.Errorf("DELETE was sent %d times", deletes.Load())
	}
	if h := *heads.Load(); strings.Count(strings.ToLower(h), "idempotency-key: key\r\n") != 2 {
		t.Errorf("the headers got lost: %q", h)
	}
}
