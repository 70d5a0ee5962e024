package distapi_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/middleware"
	"github.com/moorgate/moorgate/internal/registry"
)

// newProtected starts a server where mallory may do what she likes in repository
// "a", but not delete tags that begin with v.
func newProtected(t *testing.T) *server {
	t.Helper()
	policy, mistakes := access.Compile(access.Rules{Rules: []access.Rule{
		{Who: []string{"user:alice"}, May: []string{"*"}, Repos: []string{"**"}},
		{Who: []string{"user:mallory"}, May: []string{"pull", "push", "delete"}, Repos: []string{"a"}},
		{Who: []string{"user:mallory"}, Deny: []string{"delete"}, Repos: []string{"**"}, Tags: []string{"v*"}, Because: "releases are final"},
	}})
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	s := &server{dir: t.TempDir()}
	h := s.open(t, registry.Options{})
	h.Login.Passwords = people{"alice": "wonderland", "mallory": "evil"}
	h.Policy = func() *access.Policy { return policy }
	s.Server = httptest.NewServer(middleware.Chain(h,
		middleware.RequestID(), middleware.Client(nil), middleware.Idle(20*time.Second), middleware.Recover(h.Log)))
	t.Cleanup(s.Close)
	return s
}

// Mallory deletes by digest what a protected tag needs: the manifest it points to,
// an image of its index, a layer of that image.
func TestDeleteByDigestUnderAProtectedTag(t *testing.T) {
	t.Parallel()
	s := newProtected(t)
	for _, text := range []string{"{}", "layer", "lone", "of mallory"} {
		s.pushBlob(t, "a", text)
	}
	amd64, mine := image(layer("layer")), image(layer("layer"), layer("of mallory"))
	s.pushManifest(t, "a", sha256(amd64), amd64)
	release := index(amd64)
	s.pushManifest(t, "a", "v1", release)
	s.pushManifest(t, "a", "mine", mine)
	remove := func(name, what string, status int, code string) call {
		return call{name: name, as: "mallory", do: "DELETE /v2/a/" + what, status: status, code: code}
	}
	read := func(name, what, text string) call {
		return call{name: name, do: "GET /v2/a/" + what, status: 200, text: text}
	}
	s.unchanged(t, func() {
		runAll(t, s, []call{
			remove("the tag", "manifests/v1", 403, "DENIED"),
			remove("the index", "manifests/"+sha256(release), 403, "DENIED"),
			remove("the image of the index", "manifests/"+sha256(amd64), 403, "DENIED"),
			remove("the layer of the image", "blobs/"+sha256("layer"), 403, "DENIED"),
			remove("the config of the image", "blobs/"+sha256("{}"), 403, "DENIED"),
			remove("a blob that is not there", "blobs/"+sha256("unknown"), 404, "BLOB_UNKNOWN"),
			remove("a layer, as if it were a manifest", "manifests/"+sha256("layer"), 404, "MANIFEST_UNKNOWN"),
			read("the index is there", "manifests/v1", release),
			read("the image is there", "manifests/"+sha256(amd64), amd64),
			read("the layer is there", "blobs/"+sha256("layer"), "layer"),
		})
	})
	runAll(t, s, []call{
		remove("her own layer", "blobs/"+sha256("of mallory"), 202, ""),
		remove("a blob that nothing needs", "blobs/"+sha256("lone"), 202, ""),
		remove("her own image", "manifests/"+sha256(mine), 202, ""),
		remove("the layer, still", "blobs/"+sha256("layer"), 403, "DENIED"),
		{name: "alice may", do: "DELETE /v2/a/manifests/v1", status: 202},
		remove("the layer of what has no tag any more", "blobs/"+sha256("layer"), 202, ""),
		remove("the image of what has no tag any more", "manifests/"+sha256(amd64), 202, ""),
	})
}
