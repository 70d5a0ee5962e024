package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
)

func TestBasicIsLearnedWithoutTheBodyOfAClient(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	s := serve(t, basicRegistry(&seen))
	u := start(t, Config{URL: s.URL, Username: "gate", Password: hidden})
	for range 3 {
		// A bare reader: it cannot be sent twice.
		r := request(t, http.MethodPut, "/v2/x", io.MultiReader(strings.NewReader("body")))
		if status, body := do(t, u, r, pullApp); status != http.StatusOK || body != "body" {
			t.Fatalf("answer %d %q", status, body)
		}
	}
	want := map[string]int32{"GET /v2/ false": 1, "PUT /v2/x true": 3}
	if diff := cmp.Diff(want, counts(&seen)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	s := serve(t, basicRegistry(&seen))
	u := start(t, Config{URL: s.URL, Username: "gate", Password: "wrong-" + hidden})
	fails(t, u, request(t, http.MethodGet, "/v2/x", nil), ErrCredentials)
	fails(t, u, request(t, http.MethodPut, "/v2/x", io.MultiReader(strings.NewReader("body"))), ErrCredentials)
	if n := counts(&seen)["GET /v2/x true"]; n != 1 {
		t.Errorf("the same wrong password was sent %d times", n)
	}
}

func TestWithoutCredentialsThe401ComesThrough(t *testing.T) {
	t.Parallel()
	s := serve(t, basicRegistry(nil))
	u := start(t, Config{URL: s.URL})
	if status, _ := do(t, u, request(t, http.MethodGet, "/v2/x", nil), pullApp); status != http.StatusUnauthorized {
		t.Errorf("status %d", status)
	}
}

func TestTokenDance(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*bearerRegistry){
		"token":                     nil,
		"access_token":              func(b *bearerRegistry) { b.field = "access_token" },
		"open root, closed content": func(b *bearerRegistry) { b.open = true },
	} {
		b := newBearer(t, change)
		u := start(t, b.config())
		two := append([]access.Grant{{Type: access.RepositoryType, Name: "team/base", Actions: []string{"pull", "push"}}}, pullApp...)
		for _, grants := range [][]access.Grant{two, two, {two[1], two[0], two[0]}, nil} {
			if status, _ := do(t, u, request(t, http.MethodGet, "/v2/team/app/tags/list", nil), grants); status != http.StatusOK {
				t.Errorf("%s: status %d", name, status)
			}
		}
		want := []string{"scope=repository%3Ateam%2Fapp%3Apull&scope=repository%3Ateam%2Fbase%3Apull%2Cpush&service=the+registry", "service=the+registry"}
		if diff := cmp.Diff(want, b.queries); diff != "" {
			t.Errorf("%s: questions to the token server (-want +got):\n%s", name, diff)
		}
		if b.probes.Load() != 1 {
			t.Errorf("%s: %d probes", name, b.probes.Load())
		}
	}
}

func TestAnonymousTokens(t *testing.T) {
	t.Parallel()
	b := newBearer(t, func(b *bearerRegistry) { b.public = true })
	u := start(t, Config{URL: b.URL})
	if status, _ := do(t, u, request(t, http.MethodGet, "/v2/x", nil), pullApp); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if err := u.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	closed := newBearer(t, nil)
	u = start(t, Config{URL: closed.URL})
	for range 3 {
		if status, _ := do(t, u, request(t, http.MethodGet, "/v2/x", nil), pullApp); status != http.StatusUnauthorized {
			t.Errorf("status %d where the token server gives nothing", status)
		}
	}
	if n := closed.dances.Load(); n != 1 {
		t.Errorf("the token server was asked %d times", n)
	}
}

func TestCredentialsNeverReachAForeignRealm(t *testing.T) {
	t.Parallel()
	var visited atomic.Int32
	mallory := serve(t, func(http.ResponseWriter, *http.Request) { visited.Add(1) })
	for name, open := range map[string]bool{"at the first question": false, "later": true} {
		b := newBearer(t, func(b *bearerRegistry) { b.realm, b.open = mallory.URL+"/token", open })
		for _, c := range []Config{b.config(), {URL: b.URL}} {
			u := start(t, c)
			err := failure(t, u, request(t, http.MethodGet, "/v2/x", nil), ErrCredentials)
			host := strings.TrimPrefix(mallory.URL, "http://")
			if !strings.Contains(err.Error(), mallory.URL) || !strings.Contains(err.Error(), fmt.Sprintf("add %q to realms", host)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if visited.Load() != 0 {
			t.Fatalf("%s: mallory was visited", name)
		}
		c := b.config()
		c.Realms = []string{"127.0.0.1"}
		start(t, c).Do(request(t, http.MethodGet, "/v2/x", nil), pullApp) //nolint:bodyclose,errcheck // it fails, but mallory is asked
		if visited.Swap(0) != 1 {
			t.Errorf("%s: a realm that is listed was not asked", name)
		}
	}
}

func TestTheDanceFollowsNoRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusInternalServerError, http.StatusNotFound} {
		b := newBearer(t, func(b *bearerRegistry) { b.status = status })
		err := failure(t, start(t, b.config()), request(t, http.MethodGet, "/v2/x", nil), ErrUnreachable)
		if !strings.Contains(err.Error(), fmt.Sprint(status)) || b.dances.Load() != 1 {
			t.Errorf("%v after %d questions", err, b.dances.Load())
		}
	}
}

func TestAThousandRequestsShareOneDance(t *testing.T) {
	t.Parallel()
	b := newBearer(t, nil)
	u := start(t, b.config())
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			p, err := u.login.pass(t.Context(), pullApp)
			if err != nil || p.header.reveal() != "Bearer token-of-1" {
				t.Errorf("pass %v: %v", p.header.empty(), err)
			}
		})
	}
	wg.Wait()
	if b.dances.Load() != 1 || b.probes.Load() != 1 {
		t.Errorf("%d dances, %d probes", b.dances.Load(), b.probes.Load())
	}
}

func TestOneWhoLeavesDoesNotSpoilTheDance(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		w.WriteHeader(http.StatusOK)
	})
	u := start(t, Config{URL: s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := u.login.pass(ctx, nil); first <- err }()
	<-arrived
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left got %v", err)
	}
	close(release)
	if _, err := u.login.pass(t.Context(), nil); err != nil { // a second request would close arrived again
		t.Error(err)
	}
}

func TestTokensAreRenewedEarly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		life       any
		good, gone time.Duration
	}{
		"five seconds": {5, 3900 * time.Millisecond, 4100 * time.Millisecond},
		"none":         {nil, 47 * time.Second, 49 * time.Second},
		"negative":     {-1, 47 * time.Second, 49 * time.Second},
		"a day":        {86400, 47 * time.Minute, 49 * time.Minute},
		"huge":         {1e300, 47 * time.Minute, 49 * time.Minute},
	} {
		b := newBearer(t, func(b *bearerRegistry) { b.life = c.life })
		u := start(t, b.config())
		begin := time.Now()
		for _, step := range []struct {
			after time.Duration
			want  int32
		}{{0, 1}, {c.good, 1}, {c.gone, 2}} {
			u.login.now = func() time.Time { return begin.Add(step.after) }
			do(t, u, request(t, http.MethodGet, "/v2/x", nil), pullApp)
			if got := b.dances.Load(); got != step.want {
				t.Errorf("%s: %d dances after %s, want %d", name, got, step.after, step.want)
			}
		}
	}
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	one := "1"
	copied := func(r *http.Request) {
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("body")), nil }
	}
	for name, c := range map[string]struct {
		body   io.Reader
		early  bool
		change func(*http.Request)
		ok     bool
		want   string
	}{
		"no body":         {nil, false, nil, true, ""},
		"body":            {io.MultiReader(strings.NewReader("body")), false, nil, false, ""},
		"body to copy":    {io.MultiReader(strings.NewReader("body")), false, copied, true, "body"},
		"body not begun":  {io.MultiReader(strings.NewReader("body")), true, func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, true, "body"},
		"empty of server": {io.MultiReader(), false, func(r *http.Request) { r.RequestURI = "/v2/x" }, true, ""},
	} {
		b := newBearer(t, func(b *bearerRegistry) { b.early = c.early })
		u := start(t, b.config())
		do(t, u, request(t, http.MethodGet, "/v2/x", nil), pullApp)
		b.revoked.Store(&one)
		r := request(t, http.MethodPost, "/v2/x", c.body)
		if c.change != nil {
			c.change(r)
		}
		resp, err := u.Do(r, pullApp)
		switch {
		case c.ok && err == nil:
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK || string(body) != c.want {
				t.Errorf("%s: answer %s %q", name, resp.Status, body)
			}
		case c.ok || !errors.Is(err, ErrCredentials):
			t.Errorf("%s: error %v", name, err)
		}
		if b.dances.Load() != 2 || b.probes.Load() != 1 {
			t.Errorf("%s: %d dances, %d probes", name, b.dances.Load(), b.probes.Load())
		}
		if status, _ := do(t, u, request(t, http.MethodGet, "/v2/x", nil), pullApp); status != http.StatusOK || b.dances.Load() != 2 {
			t.Errorf("%s: the new token was not kept", name)
		}
	}
}

func TestRefusedCredentialsAreNotSentAgainAtOnce(t *testing.T) {
	t.Parallel()
	b := newBearer(t, nil)
	c := b.config()
	c.Password = "wrong-" + hidden
	u := start(t, c)
	for range 5 {
		fails(t, u, request(t, http.MethodGet, "/v2/x", nil), ErrCredentials)
	}
	if b.dances.Load() != 1 {
		t.Errorf("%d dances", b.dances.Load())
	}
	u.login.now = func() time.Time { return time.Now().Add(refusedFor) }
	fails(t, u, request(t, http.MethodGet, "/v2/x", nil), ErrCredentials)
	if b.dances.Load() != 2 {
		t.Errorf("%d dances later", b.dances.Load())
	}
}

func TestBadRepliesOfTokenServers(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"empty": ``, "no token": `{}`, "not JSON": `<html>token-of-1`, "line break": `{"token":"token-of-1\nX: y"}`,
		"space": `{"token":"token-of 1"}`, "large": `{"token":"` + strings.Repeat("a", maxReply) + `"}`, "long": `{"token":"` + strings.Repeat("a", maxToken+1) + `"}`,
	} {
		if _, err := readToken(strings.NewReader(reply), time.Now()); !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "token-of") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestARegistryThatChangesFromBasicToBearer(t *testing.T) {
	t.Parallel()
	var changed atomic.Bool
	var realm string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		switch {
		case r.URL.Path == "/token":
			_, _ = io.WriteString(w, `{"token":"token-of-x"}`)
		case !changed.Load() && kind != "Basic":
			w.Header().Set("WWW-Authenticate", `Digest realm="x", Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		case changed.Load() && kind != "Bearer":
			w.Header().Set("WWW-Authenticate", `Basic realm="x", Bearer realm="`+realm+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	realm = s.URL + "/token"
	u := start(t, Config{URL: s.URL, Username: "gate", Password: hidden})
	for _, now := range []bool{false, true} {
		changed.Store(now)
		if status, _ := do(t, u, request(t, http.MethodGet, "/v2/x", nil), pullApp); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
}
