package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/program"
)

// badServices are services that do something wrong, and what is said about it.
var badServices = map[string]struct {
	handle func(f *fake, w http.ResponseWriter, r *http.Request, body []byte)
	want   string
}{
	"not signed": {func(_ *fake, w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, letIn)
	}, "not signed for this question"},
	"the question, sent back": {func(_ *fake, w http.ResponseWriter, r *http.Request, body []byte) {
		for _, name := range []string{headerID, headerTimestamp, headerSignature, "Content-Type"} {
			w.Header().Set(name, r.Header.Get(name))
		}
		_, _ = w.Write(body)
	}, "does not know"},
	"elsewhere": {func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
		if r.URL.Path != "/elsewhere" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		f.say(w, r, letIn)
	}, "307 Temporary Redirect: no password is sent elsewhere"},
	"another type": {func(f *fake, w http.ResponseWriter, r *http.Request, body []byte) {
		for name, values := range f.secrets.sign(r.Header.Get(headerID), time.Now(), []byte(letIn)) {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "text/html; of="+string(body))
		_, _ = io.WriteString(w, letIn)
	}, "its answer is not application/json: (a line with the password in it)"},
	"too much": {func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
		f.say(w, r, letIn+strings.Repeat(" ", 10<<20))
	}, "more than 65536 bytes"},
	"without end": {func(_ *fake, w http.ResponseWriter, _ *http.Request, _ []byte) {
		for {
			if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
				return
			}
		}
	}, "more than 65536 bytes"},
	"huge headers": {func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
		w.Header().Set("X-Huge", strings.Repeat("x", 1<<20))
		f.say(w, r, letIn)
	}, "it has not answered"},
	"a status alone": {func(_ *fake, w http.ResponseWriter, _ *http.Request, body []byte) {
		http.Error(w, string(body), http.StatusInternalServerError)
	}, "it answers 500 Internal Server Error"},
	"nobody there": {func(_ *fake, w http.ResponseWriter, r *http.Request, _ []byte) { http.NotFound(w, r) }, "404 Not Found to POST: look at the path in url"},
	"another clock": {func(_ *fake, w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusUnauthorized)
	}, "and mend the clocks: its own is -10m"},
	"no HTTP": {func(_ *fake, w http.ResponseWriter, _ *http.Request, body []byte) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close() //nolint:errcheck // the end of it is the test
		_, _ = c.Write(append(body, '\n'))
	}, "it has not answered"},
	"hangs up": {func(_ *fake, _ http.ResponseWriter, _ *http.Request, _ []byte) { panic(http.ErrAbortHandler) }, "it has not answered"},
	"half an answer": {func(_ *fake, w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, letIn)
	}, "it has not answered"},
}

// What a service does wrong is a fault that says what to do, and lets nobody in. A
// password is in none of them.
func TestBadServices(t *testing.T) {
	t.Parallel()
	for name, tt := range badServices {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, tt.handle)
			c := f.config()
			c.Retries = 1
			s := open(t, c)
			err := verify(t, s)
			if err == nil || isAnswer(err) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("error %v; want a fault with %q", err, tt.want)
			}
			again := strings.Contains(tt.want, "it has not answered")
			if n := f.requests.Load(); !again && n > 1 || again && n != 2 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

// An answer that was good for another question is good for none after it.
func TestOldAnswer(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var old http.Header
	f := startFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
		mu.Lock()
		defer mu.Unlock()
		if old == nil {
			f.say(w, r, letIn)
			old = w.Header().Clone()
			return
		}
		for name, values := range old {
			w.Header()[name] = values
		}
		_, _ = io.WriteString(w, letIn) // whoever has asked may be gone
	})
	s := open(t, f.config())
	if err := verify(t, s); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, s); err == nil || isAnswer(err) || !strings.Contains(err.Error(), "not signed for this question") {
		t.Errorf("error %v", err)
	}
}

// Services that cannot be trusted see no password.
func TestUntrustedServices(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	past := pair(t, time.Now().AddDate(-30, 0, 0))
	expired, err := tls.LoadX509KeyPair(past.Cert, past.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(c *Config, f *fake)
		want   string
	}{
		"unknown authority":   {func(c *Config, _ *fake) { c.CA = "" }, "name its authority in ca"},
		"another name":        {func(c *Config, f *fake) { c.URL = strings.Replace(f.URL, "127.0.0.1", "localhost", 1) }, "use a name of the certificate in url"},
		"no TLS":              {func(c *Config, _ *fake) { c.URL = strings.Replace(plain.URL, "http:", "https:", 1) }, "is it a port without TLS"},
		"TLS, and not asked":  {func(c *Config, f *fake) { c.URL, c.CA = strings.Replace(f.URL, "https:", "http:", 1), "" }, "if it speaks TLS, url begins with https://"},
		"nobody listens":      {func(c *Config, _ *fake) { c.URL = "https://" + closed.Addr().String() }, "it cannot be reached"},
		"expired":             {func(c *Config, _ *fake) { c.CA = past.CACert }, "renew it, or mend the clock"},
		"wants a certificate": {func(*Config, *fake) {}, "look whether it wants a certificate of ours"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := &tls.Config{}
			switch name {
			case "expired":
				config.Certificates = []tls.Certificate{expired}
			case "wants a certificate":
				config.ClientAuth = tls.RequireAnyClientCert
			}
			f := startFakeTLS(t, config, func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) { f.say(w, r, letIn) })
			c := f.config()
			c.Retries = 1
			tt.change(&c, f)
			if err := verify(t, open(t, c)); err == nil || isAnswer(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want a fault with %q", err, tt.want)
			}
			if n := f.requests.Load(); n > 0 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

// A certificate of ours is shown to a service that wants one.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	f := startFakeTLS(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
		f.say(w, r, letIn)
	})
	c, own := f.config(), pair(t, time.Now())
	c.Cert, c.Key = own.Cert, own.Key
	if err := verify(t, open(t, c)); err != nil {
		t.Error(err)
	}
}

// A proxy of the environment is not asked: it would see passwords on the way to a
// service without TLS, and could stand between us and one with it.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	client, err := newClient(Default())
	if err != nil {
		t.Fatal(err)
	}
	if transport := client.Transport.(*http.Transport); transport.Proxy != nil {
		t.Error("a proxy is asked")
	}
}

// A service that is away for a moment is asked again, and not more often than is
// said.
func TestRetries(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bad     int64 // how many times it fails
		status  int   // how; 0: it hangs up
		retries int
		asked   int64
		ok      bool
	}{
		"unavailable":             {2, http.StatusServiceUnavailable, 2, 3, true},
		"bad gateway":             {1, http.StatusBadGateway, 2, 2, true},
		"gateway timeout":         {1, http.StatusGatewayTimeout, 1, 2, true},
		"too many":                {1, http.StatusTooManyRequests, 1, 2, true},
		"hangs up":                {2, 0, 2, 3, true},
		"too often":               {3, http.StatusServiceUnavailable, 2, 3, false},
		"not at all":              {1, http.StatusServiceUnavailable, 0, 1, false},
		"what will not get right": {1, http.StatusInternalServerError, 2, 1, false},
		"who refuses":             {1, http.StatusForbidden, 2, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids := &sync.Map{}
			f := startFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, body []byte) {
				if _, seen := ids.LoadOrStore(r.Header.Get(headerID), true); seen {
					t.Error("the same question is sent twice: a service may take the second for a replay")
				}
				if err := f.secrets.verify(r.Header, r.Header.Get(headerID), body); err != nil {
					t.Error(err)
				}
				switch {
				case f.requests.Load() > tt.bad:
					f.say(w, r, letIn)
				case tt.status == 0:
					panic(http.ErrAbortHandler)
				default:
					w.WriteHeader(tt.status)
				}
			})
			c := f.config()
			c.Retries = tt.retries
			err := verify(t, open(t, c))
			if (err == nil) != tt.ok || isAnswer(err) || f.requests.Load() != tt.asked {
				t.Errorf("error %v after %d questions", err, f.requests.Load())
			}
		})
	}
}

// A service that wants to be left alone is left alone, by all, and not for longer
// than a while.
func TestAway(t *testing.T) {
	t.Parallel()
	var bad atomic.Bool
	bad.Store(true)
	f := startFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
		if !bad.Load() {
			f.say(w, r, letIn)
			return
		}
		w.Header().Set("Retry-After", "100000")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	s := open(t, f.config())
	var mu sync.Mutex
	now := time.Now()
	s.service.away.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	step := func(d time.Duration, asked int64, ok bool) {
		t.Helper()
		mu.Lock()
		now = now.Add(d)
		mu.Unlock()
		if err := verify(t, s); (err == nil) != ok || isAnswer(err) || f.requests.Load() != asked {
			t.Errorf("error %v after %d questions; want %d", err, f.requests.Load(), asked)
		}
	}
	step(0, 1, false) // there is no time to wait for it
	for range 10 {
		step(maxPause/20, 1, false)
	}
	step(maxPause, 2, false)
	bad.Store(false)
	step(time.Second, 2, false)
	step(maxPause, 3, true)
	step(0, 4, true)
}

// After a failure one at a time asks whether the service is there again.
func TestOneAtATimeAsksAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := &away{now: func() time.Time { return now }}
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway} {
		a.note(refused(&http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"60"}}}, now))
		if err := a.mayAsk(); err != nil {
			t.Errorf("an answer to one keeps others out: %v", err)
		}
	}
	a.note(&failure{err: errors.New("gone"), away: true})
	now = now.Add(minPause)
	first, second := a.mayAsk(), a.mayAsk()
	if first != nil || second == nil {
		t.Errorf("%v, %v", first, second)
	}
}

// A request that is over while somebody connects for it says nothing about the
// service.
func TestRequestThatIsOver(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) { f.say(w, r, letIn) })
	s := open(t, f.config())
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
		if _, err := s.VerifyPassword(ctx, "alice", "open sesame"); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		cancel()
	}
	if err := verify(t, s); err != nil {
		t.Errorf("the request after them: %v", err)
	}
}

// A service that hangs or drips has its time, and no more.
func TestSlowServices(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for name, handle := range map[string]func(f *fake, w http.ResponseWriter, r *http.Request, body []byte){
		"hangs": func(_ *fake, _ http.ResponseWriter, r *http.Request, _ []byte) {
			select {
			case <-r.Context().Done():
			case <-over:
			}
		},
		"drips": func(_ *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
			w.Header().Set("Content-Type", "application/json")
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for r.Context().Err() == nil {
				<-tick.C
				_, _ = io.WriteString(w, " ") // whoever has asked may be gone
				_ = http.NewResponseController(w).Flush()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, handle)
			c := f.config()
			c.Timeout = 2 * time.Second
			s := open(t, c)
			err := verify(t, s)
			if err == nil || isAnswer(err) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not answered within 2s (timeout)") {
				t.Errorf("error %v", err)
			}
			if s.service.away.mayAsk() != nil {
				t.Error("a slow answer to one keeps others out")
			}
		})
	}
}

// Many logins at once are a few connections.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const most, all = 4, 500
	var now atomic.Int64
	var mu sync.Mutex
	var peak int64
	f := startFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
		n := now.Add(1)
		defer now.Add(-1)
		mu.Lock()
		peak = max(peak, n)
		mu.Unlock()
		<-time.After(5 * time.Millisecond)
		f.say(w, r, keepOn)
	})
	c := f.config()
	c.MaxConnections = most
	s := open(t, c)
	errs := make(chan error, all)
	for i := range all {
		go func() {
			_, err := s.VerifyPassword(t.Context(), fmt.Sprint("user", i), "open sesame")
			errs <- err
		}()
	}
	asked, busy := 0, 0
	for range all {
		switch err := <-errs; {
		case errors.Is(err, authn.ErrWrongPassword):
			asked++
		case errors.Is(err, authn.ErrBusy):
			busy++
		default:
			t.Errorf("error %v", err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if peak > most || asked < most || busy == 0 {
		t.Errorf("%d at once; %d were asked about, %d sent away", peak, asked, busy)
	}
}

// Rests grow, and end with the time that there is.
func TestRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for n, least := range []time.Duration{firstRest, 2 * firstRest, 4 * firstRest} {
			began := time.Now()
			if !rest(t.Context(), n, 0) || time.Since(began) < least || time.Since(began) > 2*least {
				t.Errorf("rest %d took %s", n, time.Since(began))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if rest(ctx, 0, time.Second) || time.Since(began) > 0 {
			t.Error("a rest that is too long began")
		}
		if !rest(ctx, 0, 900*time.Millisecond) {
			t.Error("there was time")
		}
		if rest(ctx, 10, 0) {
			t.Error("a rest beyond the end")
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "99999999999999999999": 0,
		"Tue, 01 Jan 2030 00:01:00 GMT": time.Minute, "Tue, 01 Jan 2019 00:01:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// What a service says of one question is not told in the log of another.
func TestFaultsOfOthersAreNotTold(t *testing.T) {
	t.Parallel()
	f := &failure{err: &program.Fault{What: "ours", Said: "theirs"}, away: true}
	a := &away{now: time.Now}
	a.note(f)
	if err := a.mayAsk(); err == nil || errors.As(err, new(*program.Fault)) {
		t.Errorf("error %v", err)
	}
}
