package token_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/moorgate/moorgate/internal/token"
)

// publisher is a token server that publishes keys.
type publisher struct {
	*httptest.Server
	fetches atomic.Int64
	mu      sync.Mutex
	answer  http.HandlerFunc
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.fetches.Add(1)
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	answer(w, r)
}

func (p *publisher) set(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *publisher) publish(t *testing.T, kids ...string) {
	t.Helper()
	var keys []jose.JSONWebKey
	for _, kid := range kids {
		keys = append(keys, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: kid})
	}
	data := jwks(t, keys...)
	p.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
}

func newKeysURL(t *testing.T, url string, o token.KeysURLOptions) *token.KeysURL {
	t.Helper()
	set, err := token.NewKeysURL(url, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (p *publisher) want(t *testing.T, set *token.KeysURL, kid string, err error, fetches int64) {
	t.Helper()
	key, got := set.Key(t.Context(), kid)
	if !errors.Is(got, err) || got == nil && key.ID != kid {
		t.Errorf("key %s: %+v, %v; want %v", kid, key, got, err)
	}
	if n := p.fetches.Load(); n != fetches {
		t.Errorf("key %s: %d fetches, want %d", kid, n, fetches)
	}
}

func TestKeysAreFetchedAtFirstNeedAndWhenTheyAreOld(t *testing.T) {
	t.Parallel()
	p, c := newPublisher(t), newClock()
	p.publish(t, "a")
	set := newKeysURL(t, p.URL, token.KeysURLOptions{Now: c.Now})
	if p.fetches.Load() != 0 {
		t.Error("fetched before it was needed")
	}
	p.want(t, set, "a", nil, 1)
	c.advance(10*time.Minute - time.Second)
	p.want(t, set, "a", nil, 1)
	p.publish(t, "b")
	c.advance(10*time.Minute + time.Second) // long after the next one was due
	p.want(t, set, "a", token.ErrUnknownKey, 2)
	p.want(t, set, "b", nil, 2)
	p.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) })
	c.advance(20 * time.Minute)
	p.want(t, set, "b", token.ErrUnknownKey, 3) // the token server has none now
}

func TestAnUnknownKeyIsFetchedForNowAndThen(t *testing.T) {
	t.Parallel()
	p, c := newPublisher(t), newClock()
	p.publish(t, "a")
	set := newKeysURL(t, p.URL, token.KeysURLOptions{Now: c.Now})
	p.want(t, set, "a", nil, 1)
	p.publish(t, "a", "b")
	p.want(t, set, "b", token.ErrUnknownKey, 1)
	c.advance(30 * time.Second)
	p.want(t, set, "b", nil, 2)
	p.want(t, set, "x", token.ErrUnknownKey, 2)
	c.advance(29 * time.Second)
	p.want(t, set, "y", token.ErrUnknownKey, 2)
	c.advance(time.Second)
	p.want(t, set, "z", token.ErrUnknownKey, 3)
}

func TestKeysAreFetchedAsOftenAsRefreshSays(t *testing.T) {
	t.Parallel()
	p, c := newPublisher(t), newClock()
	p.publish(t, "a")
	set := newKeysURL(t, p.URL, token.KeysURLOptions{Refresh: time.Second, Now: c.Now})
	p.want(t, set, "a", nil, 1)
	p.publish(t, "a", "b")
	p.want(t, set, "b", token.ErrUnknownKey, 1)
	c.advance(time.Second)
	p.want(t, set, "b", nil, 2)
}

// While the URL is out of reach, the old keys stay for a time. Nobody waits for it
// then, so the fetches are made beside the requests: in a bubble, they have ended
// when everything is still.
func TestOldKeysStayForATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := jwks(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "a"})
		status, fetches := http.StatusOK, 0
		set := newKeysURL(t, "https://keys.example", token.KeysURLOptions{})
		token.SetTransport(set, roundTrip(func(*http.Request) (*http.Response, error) {
			fetches++
			w := httptest.NewRecorder()
			w.WriteHeader(status)
			_, _ = w.Write(good)
			return w.Result(), nil
		}))
		want := func(kid string, ok bool, n int) {
			t.Helper()
			_, err := set.Key(t.Context(), kid)
			synctest.Wait()
			if (err == nil) != ok || errors.Is(err, token.ErrUnknownKey) || fetches != n {
				t.Errorf("key %s: %v, %d fetches; want %v, %d", kid, err, fetches, ok, n)
			}
		}
		want("a", true, 1)
		status = http.StatusBadGateway
		time.Sleep(10 * time.Minute) // of the bubble: nobody waits
		want("a", true, 2)
		want("a", true, 2)
		want("b", false, 2) // it may be there: that is a fault and not "unknown"
		time.Sleep(time.Minute)
		want("a", true, 3)
		time.Sleep(23*time.Hour + 48*time.Minute)
		want("a", true, 4)
		time.Sleep(time.Minute)
		want("a", false, 5) // after a day, the old keys are too old
		want("a", false, 5)
		status = http.StatusOK
		time.Sleep(time.Minute)
		want("a", true, 6)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestManyRequestsFetchOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := jwks(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "a"})
		var fetches atomic.Int64
		goOn := make(chan struct{})
		set := newKeysURL(t, "https://keys.example", token.KeysURLOptions{})
		token.SetTransport(set, roundTrip(func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			select {
			case <-goOn:
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			w := httptest.NewRecorder()
			_, _ = w.Write(good)
			return w.Result(), nil
		}))
		gone, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := set.Key(gone, "a")
			failed <- err
		}()
		synctest.Wait()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := set.Key(t.Context(), "a"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel() // who began the fetch goes away, and the others get their answer
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		close(goOn)
		wg.Wait()
		if fetches.Load() != 1 {
			t.Errorf("%d fetches", fetches.Load())
		}
	})
}

func TestAFetchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := newKeysURL(t, "https://keys.example", token.KeysURLOptions{})
		token.SetTransport(set, roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		start := time.Now()
		if _, err := set.Key(t.Context(), "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestBadAnswersAreFaults(t *testing.T) {
	t.Parallel()
	other := newPublisher(t)
	other.publish(t, "a")
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"not found": {http.NotFound, "404"},
		"not a set": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not a JWK set"},
		"a shared secret": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
		}, "shared secret"},
		"a redirect to elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, "another host"},
		"a redirect without end":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, "too often"},
		"too much":                {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20+1)) }, "more than 1048576 bytes"},
	} {
		p := newPublisher(t)
		p.set(test.answer)
		set := newKeysURL(t, p.URL+"/keys", token.KeysURLOptions{})
		if _, err := set.Key(t.Context(), "a"); err == nil || errors.Is(err, token.ErrUnknownKey) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), p.URL) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if other.fetches.Load() != 0 {
		t.Error("another host was asked")
	}
}

func TestARedirectOnTheHostIsFollowed(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	data := jwks(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "a"})
	p.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys" {
			http.Redirect(w, r, "/keys", http.StatusFound)
			return
		}
		_, _ = w.Write(data)
	})
	p.want(t, newKeysURL(t, p.URL, token.KeysURLOptions{}), "a", nil, 2)
}

func TestURLsThatAreNotSafeAreRefused(t *testing.T) {
	t.Parallel()
	for rawURL, want := range map[string]string{
		"http://keys.example/jwks":      "use https",
		"http://127.0.0.1.example/":     "use https",
		"ftp://keys.example/":           "begin with https://",
		"keys.example":                  "begin with https://",
		"https://":                      "begin with https://",
		"https://u:secret@keys.example": "no user name",
		"https://u:secret@%":            "cannot be read",
	} {
		if _, err := token.NewKeysURL(rawURL, token.KeysURLOptions{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v", rawURL, err)
		}
	}
	for _, rawURL := range []string{"http://localhost/x", "http://127.0.0.1:1/x", "http://[::1]/x", "https://keys.example/x"} {
		newKeysURL(t, rawURL, token.KeysURLOptions{})
	}
	newKeysURL(t, "http://keys.example/x", token.KeysURLOptions{AllowHTTP: true})
}

func TestAPrivateAuthorityIsTrustedWhenItIsNamed(t *testing.T) {
	t.Parallel()
	data := jwks(t, jose.JSONWebKey{Key: newECDSA(t).Public(), KeyID: "a"})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the client that refuses the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	if _, err := newKeysURL(t, server.URL, token.KeysURLOptions{}).Key(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
	caFile := writeFile(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if _, err := newKeysURL(t, server.URL, token.KeysURLOptions{CAFile: caFile}).Key(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	empty := writeFile(t, nil)
	if _, err := token.NewKeysURL(server.URL, token.KeysURLOptions{CAFile: empty}); err == nil || !strings.Contains(err.Error(), empty) {
		t.Errorf("error %v", err)
	}
}
