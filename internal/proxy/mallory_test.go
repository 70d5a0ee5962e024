package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/oci"
)

func TestUploadIDsAreGoodForTheirOwnerInTheirRepositoryOnly(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)), behind(t, "shared/other", newRegistry(t)))
	at := g.want(t, http.StatusAccepted, "alice", "POST /v2/shared/app/blobs/uploads/", "").header.Get("Location")
	_, id, _ := strings.Cut(at, "/uploads/")
	for name, c := range map[string]struct{ user, url string }{
		"of somebody else":      {"mallory", at},
		"of another repository": {"alice", "/v2/shared/app2/blobs/uploads/" + id},
		"in another upstream":   {"alice", "/v2/shared/other/blobs/uploads/" + id},
		"tampered with":         {"alice", strings.Replace(at, id, id[:40]+map[bool]string{true: "B", false: "A"}[id[40] == 'A']+id[41:], 1)},
		"cut off":               {"alice", at[:len(at)-1]},
		"made up":               {"alice", "/v2/shared/app/blobs/uploads/0123456789"},
	} {
		for _, method := range []string{"GET", "PATCH", "DELETE", "PUT"} {
			line := method + " " + c.url
			if method == "PUT" {
				line += "?digest=" + digestOf("x")
			}
			if a := g.do(t, c.user, line, ""); a.status != http.StatusNotFound || !strings.Contains(a.body, "BLOB_UPLOAD_UNKNOWN") {
				t.Errorf("%s, %s: status %d, %s", name, method, a.status, a.body)
			}
		}
	}
	g.want(t, http.StatusNoContent, "alice", "GET "+at, "")
}

func TestUploadIDsExpire(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	now := time.Now()
	var mu sync.Mutex
	g.handler.Sealer.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	pass := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	started := now
	at := g.want(t, http.StatusAccepted, "alice", "POST /v2/shared/app/blobs/uploads/", "").header.Get("Location")
	pass(23 * time.Hour)
	at = g.want(t, http.StatusNoContent, "alice", "GET "+at, "").header.Get("Location")
	pass(23 * time.Hour) // a new Location lives anew
	_, id, _ := strings.Cut(at, "/uploads/")
	got, err := g.handler.SessionStart(t.Context(), "shared/app", id, "test:alice")
	if err != nil || !got.Equal(started.Truncate(time.Microsecond)) {
		t.Errorf("SessionStart is %v, %v, want %v", got, err, started)
	}
	g.want(t, http.StatusNoContent, "alice", "GET "+at, "")
	pass(2 * time.Hour)
	g.want(t, http.StatusNotFound, "alice", "GET "+at, "")
	if _, err := g.handler.SessionStart(t.Context(), "shared/app", id, "test:alice"); err == nil {
		t.Error("SessionStart of an expired session has no error")
	}
}

func TestMounts(t *testing.T) {
	t.Parallel()
	inner := newRegistry(t)
	var queries []string
	var mu sync.Mutex
	g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			mu.Lock()
			queries = append(queries, r.URL.RawQuery)
			mu.Unlock()
		}
		inner.ServeHTTP(w, r)
	})), behind(t, "shared/elsewhere", newRegistry(t)))
	d := g.pushBlob(t, "alice", "private/app", "secret")
	g.pushBlob(t, "alice", "shared/one", "open")
	post := "POST /v2/shared/two/blobs/uploads/?mount="
	g.want(t, http.StatusAccepted, "mallory", post+d+"&from=private/app", "")
	g.want(t, http.StatusAccepted, "mallory", post+d, "")
	g.want(t, http.StatusAccepted, "mallory", post+d+"&from=private/app&digest="+d, "")
	g.want(t, http.StatusNotFound, "mallory", "HEAD /v2/shared/two/blobs/"+d, "")
	if !g.wasDenied(access.Scope{Action: access.Pull, Repo: "private/app"}) {
		t.Error("the audit has no denial of the source")
	}
	g.want(t, http.StatusAccepted, "alice", post+d+"&from=shared/elsewhere/x", "")
	a := g.want(t, http.StatusCreated, "mallory", post+digestOf("open")+"&from=shared/one", "")
	if got := a.header.Get("Location"); got != "/v2/shared/two/blobs/"+digestOf("open") {
		t.Errorf("Location is %q", got)
	}
	mounts := queries[2:] // the pushes come first
	for i, q := range mounts {
		if last := i == len(mounts)-1; (q != "") != last {
			t.Errorf("mount %d reached the upstream as %q", i, q)
		}
	}
}

func TestTagsThatMayNotMove(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	one := g.pushImage(t, "alice", "shared/app", "v1", "one")
	two := g.pushImage(t, "mallory", "shared/app", "latest", "two")
	put := "PUT /v2/shared/app/manifests/"
	g.want(t, http.StatusCreated, "mallory", put+"v1", one, imageType) // it points there already
	a := g.want(t, http.StatusForbidden, "mallory", put+"v1", two, imageType)
	if !strings.Contains(a.body, "releases are final") {
		t.Errorf("the refusal does not name the rule: %s", a.body)
	}
	g.want(t, http.StatusForbidden, "mallory", put+digestOf(two)+"?tag=new&tag=v1", two, imageType)
	g.want(t, http.StatusNotFound, "mallory", "HEAD /v2/shared/app/manifests/new", "")
	g.want(t, http.StatusCreated, "mallory", put+"v2", two, imageType)
	g.want(t, http.StatusCreated, "mallory", put+digestOf(two)+"?tag=v3&tag=v2", two, imageType)
	g.want(t, http.StatusRequestEntityTooLarge, "mallory", put+"v1", strings.Repeat(" ", oci.MaxManifestSize+1), imageType)
	g.want(t, http.StatusCreated, "alice", put+"v2", one, imageType)
	if a := g.want(t, http.StatusOK, "alice", "GET /v2/shared/app/manifests/v1", ""); a.body != one {
		t.Error("v1 has moved")
	}
}

func TestOfPushesAtOnceOneMakesAFinalTag(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	const pushers = 6
	manifests := make([]string, pushers)
	for i := range manifests {
		manifests[i] = g.pushImage(t, "mallory", "shared/app", "", fmt.Sprint(i))
	}
	var wg sync.WaitGroup
	statuses := make([]int, pushers)
	for i, m := range manifests {
		wg.Go(func() { statuses[i] = g.do(t, "mallory", "PUT /v2/shared/app/manifests/v9", m, imageType).status })
	}
	wg.Wait()
	count := map[int]int{}
	for _, s := range statuses {
		count[s]++
	}
	if count[http.StatusCreated] != 1 || count[http.StatusForbidden] != pushers-1 {
		t.Errorf("statuses are %v, want one 201 and the others 403", statuses)
	}
}

// Between the gateway's look at a tag and the push of somebody who may only make
// it, nobody moves the tag: also not somebody who may.
func TestATagStaysAsItWasSeenUntilItIsPushed(t *testing.T) {
	t.Parallel()
	looked, goOn, moved := make(chan struct{}), make(chan struct{}), make(chan struct{})
	g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch {
		case r.Method == http.MethodHead:
			close(looked)
			<-goOn
			w.WriteHeader(http.StatusNotFound)
		case string(body) == "of the owner":
			close(moved)
			fallthrough
		default:
			w.WriteHeader(http.StatusCreated)
		}
	})))
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { g.want(t, http.StatusCreated, "mallory", "PUT /v2/shared/app/manifests/v1", "of mallory") })
	<-looked
	both.Go(func() { g.want(t, http.StatusCreated, "admin", "PUT /v2/shared/app/manifests/v1", "of the owner") })
	select {
	case <-moved:
		t.Error("the tag was moved behind the look")
	case <-time.After(300 * time.Millisecond): // far longer than a request takes
	}
	close(goOn)
}

// A client that sends its manifest byte by byte holds up nobody.
func TestASlowPushDoesNotHoldItsTag(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	m := g.pushImage(t, "mallory", "shared/app", "", "one")
	g.talk(t, "PUT /v2/shared/app/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+aliceIn+"Content-Length: 1000\r\n\r\n{")
	g.want(t, http.StatusCreated, "mallory", "PUT /v2/shared/app/manifests/v1", m, imageType)
	g.want(t, http.StatusCreated, "admin", "PUT /v2/shared/app/manifests/v1", m, imageType)
}

// A 404 of something before the upstream, which knows nothing of tags, is no leave
// to delete what they need.
func TestOnlyARegistryCanSayThatThereAreNoTags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tags string
		want int
	}{
		"a registry":              {`{"errors":[{"code":"NAME_UNKNOWN"}]}`, http.StatusAccepted},
		"a page of nothing":       {"<h1>404</h1>", http.StatusBadGateway},
		"another error":           {`{"errors":[{"code":"UNSUPPORTED"}]}`, http.StatusBadGateway},
		"no error at all, as 404": {"{}", http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete {
					w.WriteHeader(http.StatusAccepted)
					return
				}
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, c.tags)
			})))
			g.want(t, c.want, "mallory", "DELETE /v2/shared/app/manifests/"+digestOf("x"), "")
		})
	}
}

func TestWhatAProtectedTagNeedsIsNotDeleted(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	const repo = "/v2/shared/app"
	one := g.pushImage(t, "alice", "shared/app", "v1", "one")
	child := g.pushImage(t, "alice", "shared/app", "", "child")
	ix := index(child)
	g.want(t, http.StatusCreated, "alice", "PUT "+repo+"/manifests/"+digestOf(ix), ix, indexType)
	outer := strings.ReplaceAll(index(ix), "image.manifest", "image.index")
	g.want(t, http.StatusCreated, "alice", "PUT "+repo+"/manifests/v2", outer, indexType)
	free := g.pushImage(t, "mallory", "shared/app", "latest", "free")
	for name, url := range map[string]string{
		"the manifest":              "/manifests/" + digestOf(one),
		"its blob":                  "/blobs/" + digestOf("config of one"),
		"the index":                 "/manifests/" + digestOf(outer),
		"an index in it":            "/manifests/" + digestOf(ix),
		"a child of that":           "/manifests/" + digestOf(child),
		"a blob of the child":       "/blobs/" + digestOf("config of child"),
		"the tag":                   "/manifests/v1",
		"the manifest as if a blob": "/blobs/" + digestOf(one),
	} {
		if a := g.do(t, "mallory", "DELETE "+repo+url, ""); a.status != http.StatusForbidden || !strings.Contains(a.body, "releases are final") {
			t.Errorf("%s: status %d, %s", name, a.status, a.body)
		}
	}
	for _, url := range []string{
		"/manifests/v1", "/manifests/v2", "/manifests/" + digestOf(ix), "/manifests/" + digestOf(child),
		"/blobs/" + digestOf("config of one"), "/blobs/" + digestOf("config of child"),
	} {
		g.want(t, http.StatusOK, "alice", "GET "+repo+url, "")
	}
	g.want(t, http.StatusAccepted, "mallory", "DELETE "+repo+"/blobs/"+digestOf("config of free"), "")
	g.want(t, http.StatusAccepted, "mallory", "DELETE "+repo+"/manifests/"+digestOf(free), "")
	g.want(t, http.StatusAccepted, "alice", "DELETE "+repo+"/manifests/"+digestOf(one), "")
}

// An upstream that does not tell what a deletion or a push depends on gets neither.
func TestWhereTheUpstreamDoesNotTellNothingIsDone(t *testing.T) {
	t.Parallel()
	d := digestOf("x")
	tags := func(n int) string { return `{"tags":["v1"` + strings.Repeat(`,"v2"`, n) + `]}` }
	for name, c := range map[string]struct {
		line   string
		tags   string // "": not told
		status int    // of manifests
		body   string // of manifests
		want   int
	}{
		"no list of tags":         {"DELETE /v2/shared/a/blobs/" + d, "", 200, `{}`, 502},
		"a list that is none":     {"DELETE /v2/shared/a/blobs/" + d, "[", 200, `{}`, 502},
		"no manifest":             {"DELETE /v2/shared/a/manifests/" + d, tags(0), 500, ``, 502},
		"a manifest that is none": {"DELETE /v2/shared/a/manifests/" + d, tags(0), 200, `}`, 502},
		"a digest that is none":   {"DELETE /v2/shared/a/blobs/" + d, tags(0), 200, `{"manifests":[{"digest":"x"}]}`, 502},
		"indexes without end":     {"DELETE /v2/shared/a/blobs/" + d, tags(0), 200, `{"manifests":[{"digest":"` + digestOf("y") + `"}]}`, 503},
		"too large a manifest":    {"DELETE /v2/shared/a/blobs/" + d, tags(0), 200, strings.Repeat(" ", oci.MaxManifestSize+1), 502},
		"too many tags":           {"DELETE /v2/shared/a/blobs/" + d, tags(10_000), 200, `{}`, 503},
		"no word about the tag":   {"PUT /v2/shared/a/manifests/v1", "", 500, ``, 502},
		"a tag without digest":    {"PUT /v2/shared/a/manifests/v1", "", 200, ``, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := false
			g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodDelete || r.Method == http.MethodPut:
					changed = true
				case strings.HasSuffix(r.URL.Path, "/tags/list") && c.tags == "":
					w.WriteHeader(http.StatusInternalServerError)
				case strings.HasSuffix(r.URL.Path, "/tags/list"):
					_, _ = io.WriteString(w, c.tags)
				default:
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.body)
				}
			})))
			g.want(t, c.want, "mallory", c.line, "{}")
			if changed {
				t.Error("it is done nevertheless")
			}
		})
	}
}

func TestForgedHeadersDoNotReachTheUpstream(t *testing.T) {
	t.Parallel()
	var got http.Header
	var host string
	g := newGateway(t, behind(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, host = r.Header.Clone(), r.Host })))
	at, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, http.StatusOK, "alice", "GET /v2/shared/app/blobs/"+digestOf("x"), "",
		"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Prefix: /evil",
		"X-Real-Ip: 6.6.6.6", "Forwarded: for=6.6.6.6;host=evil", "X-Original-Url: /v2/private/", "X-Rewrite-Url: /v2/private/",
		"X_Forwarded_For: 6.6.6.6", "X_Real_IP: 6.6.6.6", "X.Real.Ip: 6.6.6.6", "X-Http-Method-Override: DELETE", "Cookie: a=b",
		"Connection: close, X-Forwarded-For, X-Real-IP, Host, Authorization, Content-Length, X-Mine", "X-Mine: 1",
		"Keep-Alive: 5", "Te: trailers", "Proxy-Authorization: Basic x", "Proxy: evil", "Upgrade: h2c", "Remote-User: admin",
		"X-Forward-For: 6.6.6.6", "X-Scheme: https", "Front-End-Https: on", "X-User: admin", "X-Consumer-Username: admin",
		"X-Goog-Authenticated-User-Email: a@b", "X-Ssl-Client-S-Dn: CN=admin", "Ssl-Client-Cert: x", "X-Envoy-External-Address: 6.6.6.6",
		"Impersonate-User: admin", "X-Token-Subject: admin", "X-Amzn-Oidc-Identity: admin", "X-Request-Id: forged",
		"Accept: application/json", "X-Kept: yes")
	want := http.Header{
		"Accept": {"application/json"}, "X-Kept": {"yes"}, "User-Agent": {"Go-http-client/1.1"},
		"X-Real-Ip": {"127.0.0.1"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {at.Host},
	}
	if ids := got["X-Request-Id"]; len(ids) != 1 || ids[0] == "forged" {
		t.Errorf("X-Request-Id is %q", ids)
	}
	got.Del("X-Request-Id")
	if diff := diffHeaders(want, got); diff != "" {
		t.Errorf("the upstream got (-want +got):\n%s", diff)
	}
	if host != at.Host {
		t.Errorf("Host is %q, want %q", host, at.Host)
	}
}

func TestPathsThatTwoCouldReadDifferentlyAreNotForwarded(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the upstream got %s", r.RequestURI)
	})))
	for _, path := range []string{
		"/v2/shared/%2e%2e/private/app/manifests/latest", "/v2/shared/../private/app/manifests/latest",
		"/v2/shared%2fapp/manifests/latest", "/v2/shared//app/manifests/latest", "/v2/shared/app/manifests/latest;x",
		"/v2/shared/app/manifests/..", "/debug/vars", "/v2/shared/app", "//v2/shared/app/manifests/latest",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/", http.NoBody)
		r.RequestURI, r.URL.Path = "", path
		r.URL.Opaque = path
		r.SetBasicAuth("alice", "pw")
		if a := g.send(t, r); a.status < 400 || a.status >= 500 {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
}

func TestTheLongestPrefixOfWholeComponentsCounts(t *testing.T) {
	t.Parallel()
	named := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Upstream", name) })
	}
	g := newGateway(t, behind(t, "shared", named("shared")), behind(t, "shared/app/x", named("x")), behind(t, "shared/app", named("app")))
	for repo, want := range map[string]string{
		"shared": "shared", "shared/a": "shared", "shared/application": "shared", "shared/app": "app", "shared/app/xy": "app", "shared/app/x/y": "x",
	} {
		if got := g.do(t, "admin", "GET /v2/"+repo+"/manifests/latest", "").header.Get("X-Upstream"); got != want {
			t.Errorf("%s goes to %q, want %q", repo, got, want)
		}
	}
	if a := g.want(t, http.StatusNotFound, "admin", "GET /v2/sharedx/manifests/latest", ""); !strings.Contains(a.body, "NAME_UNKNOWN") {
		t.Errorf("body is %s", a.body)
	}
}
