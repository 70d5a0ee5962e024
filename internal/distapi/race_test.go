package distapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/middleware"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// ask sends a request of alice, on any goroutine, and returns the answer; its
// status is 0 if none came.
func (s *server) ask(t *testing.T, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	return s.askAs(t, "alice", method, path, body, header...)
}

// askAs is ask of somebody else.
func (s *server) askAs(t *testing.T, who, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	call{as: who}.sign(req)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
}

// session begins an upload of alice.
func (s *server) session(t *testing.T, repo string) string {
	t.Helper()
	a := s.ask(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
	if a.status != http.StatusAccepted {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	return a.header.Get("Location")
}

// Two that send the same session its next chunk: one is taken, the other hears
// 409 or 416, and goes on from where the session is.
func TestTwoWritersOfAChunk(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	const size = 100_000
	for round := range 10 {
		session := s.session(t, "a")
		var taken [2]bool
		var both sync.WaitGroup
		bodies := [2]string{strings.Repeat("a", size), strings.Repeat("b", size)}
		for i := range bodies {
			both.Go(func() {
				a := s.ask(t, http.MethodPatch, session, strings.NewReader(bodies[i]), "Content-Range", fmt.Sprintf("0-%d", size-1))
				taken[i] = a.status == http.StatusAccepted
				if !taken[i] && a.status != http.StatusConflict && a.status != http.StatusRequestedRangeNotSatisfiable {
					t.Errorf("status %d, want 202, 409 or 416: %s", a.status, a.body)
				}
			})
		}
		both.Wait()
		if taken[0] == taken[1] {
			t.Fatalf("round %d: chunks taken are %v, want one", round, taken)
		}
		want := bodies[slices.Index(taken[:], true)]
		if got := s.ask(t, http.MethodGet, session, nil).header.Get("Range"); got != fmt.Sprintf("0-%d", size-1) {
			t.Errorf("the session has the range %s", got)
		}
		d := string(oci.SHA256.FromString(want))
		if a := s.ask(t, http.MethodPut, session+"?digest="+d, nil); a.status != http.StatusCreated {
			t.Errorf("the chunk is not what was acknowledged: status %d: %s", a.status, a.body)
		}
		if got := s.ask(t, http.MethodGet, "/v2/a/blobs/"+d, nil).body; got != want {
			t.Errorf("the blob has other content, %d bytes", len(got))
		}
	}
}

// Two that end the same session: one gets 201, the other 409 or 404; and what the
// other brought is not there.
func TestTwoWritersOfAnEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	for round := range 10 {
		session := s.session(t, "a")
		var statuses [2]int
		var digests [2]string
		var both sync.WaitGroup
		for i := range statuses {
			body := strings.Repeat(fmt.Sprint(round, i), 30_000)
			digests[i] = string(oci.SHA256.FromString(body))
			both.Go(func() {
				statuses[i] = s.ask(t, http.MethodPut, session+"?digest="+digests[i], strings.NewReader(body)).status
			})
		}
		both.Wait()
		for i, status := range statuses {
			other := statuses[1-i]
			held := s.ask(t, http.MethodHead, "/v2/a/blobs/"+digests[i], nil).status
			switch status {
			case http.StatusCreated:
				if held != http.StatusOK || other != http.StatusConflict && other != http.StatusNotFound {
					t.Errorf("201, and %d for the other; then the blob: %d", other, held)
				}
			default:
				if held != http.StatusNotFound || other != http.StatusCreated {
					t.Errorf("%d, and %d for the other; then the blob: %d", status, other, held)
				}
			}
		}
	}
}

// changing is a server whose policy a test exchanges, as a reload does.
type changing struct {
	*server
	policy atomic.Pointer[access.Policy]
}

func newChanging(t *testing.T) *changing {
	t.Helper()
	c := &changing{server: &server{dir: t.TempDir()}}
	h := c.open(t, registry.Options{})
	h.Login.Passwords, h.Policy = people{"alice": "wonderland"}, c.policy.Load
	c.Server = httptest.NewServer(middleware.Chain(h, middleware.Client(nil), middleware.Recover(h.Log)))
	t.Cleanup(c.Close)
	return c
}

// let lets alice do this and no more.
func (c *changing) let(t *testing.T, may ...string) {
	t.Helper()
	policy, mistakes := access.Compile(access.Rules{Rules: []access.Rule{{Who: []string{"user:alice"}, May: may, Repos: []string{"*"}}}})
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	c.policy.Store(policy)
}

// A right that is gone is gone for each request that begins afterwards: nothing that
// was begun with it can be brought to its end.
func TestARightThatGoesWhileItIsUsed(t *testing.T) {
	t.Parallel()
	c := newChanging(t)
	c.let(t, "pull", "push", "delete")
	const content = "content"
	d := string(oci.SHA256.FromString(content))
	if a := c.ask(t, http.MethodPost, "/v2/source/blobs/uploads/?digest="+d, strings.NewReader(content)); a.status != http.StatusCreated {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var lost atomic.Bool
	var counts [2]atomic.Int64 // of what was done before and refused after
	// do sends a request, and fails if it began without a right and was not refused.
	do := func(method, path, body string) answer {
		gone := lost.Load()
		a := c.ask(t, method, path, strings.NewReader(body), "Content-Type", v1.MediaTypeImageIndex)
		switch {
		case a.status == http.StatusForbidden:
			counts[1].Add(1)
		case gone:
			t.Errorf("%s %s: status %d after the right was gone", method, path, a.status)
		default:
			counts[0].Add(1)
		}
		return a
	}
	pushUntilRefused := func(i int) {
		for n := 0; ; n++ {
			repo := fmt.Sprint("repo", i)
			blob := fmt.Sprint("blob ", i, n)
			start := do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", "")
			session := start.header.Get("Location")
			do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?mount="+d+"&from=source", "")
			do(http.MethodPut, "/v2/"+repo+"/manifests/v1", fmt.Sprintf(`{"schemaVersion":2,"manifests":[],"annotations":{"n":"%d"}}`, n))
			if session == "" {
				return
			}
			do(http.MethodPatch, session, blob)
			do(http.MethodPut, session+"?digest="+string(oci.SHA256.FromString(blob)), "")
		}
	}
	var pushers sync.WaitGroup
	for i := range 6 {
		pushers.Go(func() { pushUntilRefused(i) })
	}
	await(t, "pushes go through", func() bool { return counts[0].Load() > 200 })
	open := c.session(t, "source") // begun with the right
	c.let(t, "pull")
	lost.Store(true)
	pushers.Wait()
	if counts[1].Load() == 0 {
		t.Error("nothing was refused")
	}
	c.unchanged(t, func() {
		do(http.MethodPatch, open, content)
		do(http.MethodPut, open+"?digest="+d, content)
		do(http.MethodDelete, open, "")
		do(http.MethodDelete, "/v2/source/blobs/"+d, "")
		do(http.MethodDelete, "/v2/repo0/manifests/v1", "")
		pushUntilRefused(0)
	})
	if got := c.ask(t, http.MethodGet, "/v2/source/blobs/"+d, nil); got.body != content {
		t.Errorf("what may still be pulled is %d %s", got.status, got.body)
	}
}

// The body of a chunk that comes while the right goes is taken, for the request began
// with it; it has no effect, for the request that would end the session is refused.
func TestARightThatGoesInTheMiddleOfABody(t *testing.T) {
	t.Parallel()
	c := newChanging(t)
	c.let(t, "pull", "push")
	session := c.session(t, "a")
	before := c.stored(t)
	body, send := io.Pipe()
	chunk := make(chan answer, 1)
	go func() { chunk <- c.ask(t, http.MethodPatch, session, body) }()
	if _, err := io.WriteString(send, "con"); err != nil {
		t.Fatal(err)
	}
	await(t, "the chunk comes", func() bool { return len(c.files(t, "uploads")) == 1 })
	c.let(t, "pull")
	if _, err := io.WriteString(send, "tent"); err != nil {
		t.Fatal(err)
	}
	send.Close() //nolint:errcheck // it never fails
	if a := <-chunk; a.status != http.StatusAccepted {
		t.Errorf("the chunk: status %d: %s", a.status, a.body)
	}
	d := oci.SHA256.FromString("content")
	if a := c.ask(t, http.MethodPut, session+"?digest="+string(d), nil); a.status != http.StatusForbidden {
		t.Errorf("the end: status %d: %s", a.status, a.body)
	}
	after := c.stored(t)
	before.Uploads = after.Uploads // the bytes wait for the session to expire
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("there was an effect (-before +after):\n%s", diff)
	}
}
