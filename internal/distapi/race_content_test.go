package distapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// both runs two requests at once.
func both(first, second func()) {
	var group sync.WaitGroup
	group.Go(first)
	group.Go(second)
	group.Wait()
}

// wantStatus fails the test unless the status is one of those that the race allows.
func wantStatus(t *testing.T, what string, a answer, allowed ...int) {
	t.Helper()
	if !slices.Contains(allowed, a.status) {
		t.Errorf("%s: status %d, want one of %v: %s", what, a.status, allowed, a.body)
	}
}

// putTag pushes a manifest by tag.
func (s *server) putTag(t *testing.T, repo, tag, body string, header ...string) answer {
	t.Helper()
	kind := oci.MediaTypeImageManifest
	if strings.Contains(body, oci.MediaTypeImageIndex) {
		kind = oci.MediaTypeImageIndex
	}
	return s.ask(t, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, strings.NewReader(body), append(header, "Content-Type", kind)...)
}

// What comes into force under a protected tag, while mallory deletes what it needs: a
// layer of an image, an image of an index. One of the two hears that it cannot be, and
// what is acknowledged can be pulled, all of it.
func TestAPushAgainstTheDeleteOfWhatItNeeds(t *testing.T) {
	t.Parallel()
	for what, prepare := range map[string]func(s *server, n int) (body, needed string){
		"a layer": func(s *server, n int) (body, needed string) {
			text := fmt.Sprint("layer ", n)
			s.pushBlob(t, "a", text)
			return image(layer(text)), "blobs/" + sha256(text)
		},
		"an image": func(s *server, n int) (body, needed string) {
			text := fmt.Sprint("layer ", n)
			s.pushBlob(t, "a", text)
			part := image(layer(text))
			s.pushManifest(t, "a", sha256(part), part)
			return index(part), "manifests/" + sha256(part)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newProtected(t)
			s.pushBlob(t, "a", "{}")
			for n := range 30 {
				body, needed := prepare(s, n)
				tag := fmt.Sprint("v", n)
				var put, remove answer
				both(
					func() { put = s.putTag(t, "a", tag, body) },
					func() { remove = s.askAs(t, "mallory", http.MethodDelete, "/v2/a/"+needed, nil) },
				)
				wantStatus(t, "push", put, http.StatusCreated, http.StatusNotFound)
				wantStatus(t, "delete", remove, http.StatusAccepted, http.StatusForbidden)
				if (put.status == http.StatusCreated) == (remove.status == http.StatusAccepted) {
					t.Errorf("push: status %d; delete: status %d; want one of them", put.status, remove.status)
				}
				wanted := http.StatusNotFound
				if put.status == http.StatusCreated {
					wanted = http.StatusOK
				}
				for _, path := range []string{"manifests/" + tag, needed} {
					wantStatus(t, path, s.ask(t, http.MethodGet, "/v2/a/"+path, nil), wanted)
				}
			}
		})
	}
}

// A blob is pushed again, in each way, while it is deleted: both are done, in between
// it is whole or unknown, and the next push has it.
func TestAPushAgainstTheDeleteOfTheSame(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	content := strings.Repeat("content", 20_000)
	d := sha256(content)
	s.pushBlob(t, "a", content)
	for n := range 30 {
		var push, remove answer
		both(func() {
			if n%2 == 0 {
				push = s.ask(t, http.MethodPost, "/v2/a/blobs/uploads/?digest="+d, strings.NewReader(content))
				return
			}
			session := s.ask(t, http.MethodPost, "/v2/a/blobs/uploads/", nil).header.Get("Location")
			push = s.ask(t, http.MethodPut, session+"?digest="+d, strings.NewReader(content))
		}, func() {
			remove = s.ask(t, http.MethodDelete, "/v2/a/blobs/"+d, nil)
			got := s.ask(t, http.MethodGet, "/v2/a/blobs/"+d, nil)
			wantStatus(t, "blob", got, http.StatusOK, http.StatusNotFound)
			if got.status == http.StatusOK && got.body != content {
				t.Errorf("the blob has other content, %d bytes", len(got.body))
			}
		})
		wantStatus(t, "push", push, http.StatusCreated)
		wantStatus(t, "delete", remove, http.StatusAccepted)
		if a := s.ask(t, http.MethodPost, "/v2/a/blobs/uploads/?digest="+d, strings.NewReader(content)); a.status != http.StatusCreated {
			t.Fatalf("push: status %d: %s", a.status, a.body)
		}
		if got := s.ask(t, http.MethodGet, "/v2/a/blobs/"+d, nil); got.body != content {
			t.Fatalf("after a push the blob is %d bytes, status %d", len(got.body), got.status)
		}
	}
}

// A mount, while its source is deleted: 201 means that the blob can be pulled, 202 that
// nothing was mounted, and the source is gone.
func TestAMountAgainstTheDeleteOfItsSource(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	for n := range 30 {
		content := fmt.Sprint("content ", n)
		d := sha256(content)
		s.pushBlob(t, "source", content)
		var mount, remove answer
		both(
			func() {
				mount = s.ask(t, http.MethodPost, "/v2/a/blobs/uploads/?mount="+d+"&from=source", nil)
			},
			func() { remove = s.ask(t, http.MethodDelete, "/v2/source/blobs/"+d, nil) },
		)
		wantStatus(t, "delete", remove, http.StatusAccepted)
		wantStatus(t, "mount", mount, http.StatusCreated, http.StatusAccepted)
		wantStatus(t, "source", s.ask(t, http.MethodGet, "/v2/source/blobs/"+d, nil), http.StatusNotFound)
		got := s.ask(t, http.MethodGet, "/v2/a/blobs/"+d, nil)
		if mounted := mount.status == http.StatusCreated; mounted != (got.status == http.StatusOK && got.body == content) {
			t.Errorf("mount: status %d; then the blob: status %d, %q", mount.status, got.status, got.body)
		}
	}
}

// Many push the same blob, each into a repository of its own: all hear 201, all can
// pull it, and it is one file.
func TestTheSameBlobPushedByMany(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	content := strings.Repeat("the same", 50_000)
	d := sha256(content)
	var group sync.WaitGroup
	const n = 16
	for i := range n {
		group.Go(func() {
			repo := fmt.Sprint("repo", i)
			path := "/v2/" + repo + "/blobs/uploads/?digest=" + d
			method := http.MethodPost
			if i%2 == 0 {
				session := s.ask(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil).header.Get("Location")
				method, path = http.MethodPut, session+"?digest="+d
			}
			wantStatus(t, "push", s.ask(t, method, path, strings.NewReader(content)), http.StatusCreated)
		})
	}
	group.Wait()
	for i := range n {
		if got := s.ask(t, http.MethodGet, fmt.Sprintf("/v2/repo%d/blobs/%s", i, d), nil); got.body != content {
			t.Errorf("repo%d: status %d, %d bytes", i, got.status, len(got.body))
		}
	}
	if now := s.stored(t); len(now.Blobs) != 1 || len(now.Uploads) != 0 || len(now.Holders[d]) != n {
		t.Errorf("stored are %d blobs, %d uploads, %d holders", len(now.Blobs), len(now.Uploads), len(now.Holders[d]))
	}
}

// Many move a tag, each from where it was: in each round one hears 201 and the others
// 412, and the tag is at what the one has pushed. Whoever reads it meanwhile gets one
// of the manifests, whole.
func TestATagMovedByManyOverHTTP(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	at := index()
	wantStatus(t, "push", s.putTag(t, "a", "v1", at), http.StatusCreated)
	for round := range 10 {
		bodies := make([]string, 6)
		moves := make([]answer, len(bodies))
		var group sync.WaitGroup
		for i := range bodies {
			bodies[i] = strings.Replace(index(), "{", fmt.Sprintf(`{"annotations":{"n":"%d.%d"},`, round, i), 1)
			group.Go(func() { moves[i] = s.putTag(t, "a", "v1", bodies[i], "If-Match", `"`+sha256(at)+`"`) })
		}
		group.Go(func() {
			got := s.ask(t, http.MethodGet, "/v2/a/manifests/v1", nil)
			if sha256(got.body) != got.header.Get("Docker-Content-Digest") {
				t.Errorf("the manifest of %s is %s", got.header.Get("Docker-Content-Digest"), got.body)
			}
		})
		group.Wait()
		var winners []string
		for i, a := range moves {
			wantStatus(t, "move", a, http.StatusCreated, http.StatusPreconditionFailed)
			if a.status == http.StatusCreated {
				winners = append(winners, bodies[i])
			}
		}
		got := s.ask(t, http.MethodGet, "/v2/a/manifests/v1", nil).body
		if len(winners) != 1 || winners[0] != got {
			t.Fatalf("%d have moved the tag; it is at %s", len(winners), got)
		}
		at = got
	}
}
