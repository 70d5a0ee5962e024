package distapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/registry"
)

func TestManifestDelete(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	m := s.pushImage(t, "a", "one", "layer")
	s.pushManifest(t, "a", "two", m)
	s.pushManifest(t, "a", "other", image())
	s.pushImage(t, "b", "one", "layer")
	tags := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, s.stored(t).Tags["a"]); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	}
	s.unchanged(t, func() {
		runAll(t, s, []call{
			{name: "unknown tag", do: "DELETE /v2/a/manifests/unknown", status: 404, code: "MANIFEST_UNKNOWN"},
			{name: "unknown digest", do: "DELETE /v2/a/manifests/" + sha256("unknown"), status: 404, code: "MANIFEST_UNKNOWN"},
			{name: "unknown repository", do: "DELETE /v2/nowhere/manifests/one", status: 404, code: "NAME_UNKNOWN"},
			{name: "unknown repository, by digest", do: "DELETE /v2/nowhere/manifests/" + sha256(m), status: 404, code: "NAME_UNKNOWN"},
			{name: "a blob", do: "DELETE /v2/a/manifests/" + sha256("layer"), status: 404, code: "MANIFEST_UNKNOWN"},
		})
	})
	runAll(t, s, []call{
		{name: "a tag", do: "DELETE /v2/a/manifests/one", status: 202},
		{name: "the tag is gone", do: "GET /v2/a/manifests/one", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "again", do: "DELETE /v2/a/manifests/one", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "the manifest stays", do: "GET /v2/a/manifests/" + sha256(m), status: 200, text: m},
		{name: "its other tag stays", do: "GET /v2/a/manifests/two", status: 200, text: m},
	})
	tags("other", "two")
	s.pushManifest(t, "a", "three", m)
	runAll(t, s, []call{
		{name: "a manifest", do: "DELETE /v2/a/manifests/" + sha256(m), status: 202},
		{name: "the manifest is gone", do: "GET /v2/a/manifests/" + sha256(m), status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "its tag is gone", do: "GET /v2/a/manifests/two", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "again", do: "DELETE /v2/a/manifests/" + sha256(m), status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "its blobs stay", do: "GET /v2/a/blobs/" + sha256("layer"), status: 200, text: "layer"},
		{name: "the other repository keeps it", do: "GET /v2/b/manifests/one", status: 200, text: m},
	})
	tags("other")
	s.pushManifest(t, "a", "again", m)
	tags("again", "other")
}

// A repository whose last manifest goes is not listed any more, but still known.
func TestLastManifestDeleted(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	m := s.pushImage(t, "a", "v1", "layer")
	runAll(t, s, []call{
		{name: "listed", do: "GET /v2/_catalog", status: 200, text: `{"repositories":["a"]}`},
		{name: "delete", do: "DELETE /v2/a/manifests/" + sha256(m), status: 202},
		{name: "not listed", do: "GET /v2/_catalog", status: 200, text: `{"repositories":[]}`},
		{name: "no tags", do: "GET /v2/a/tags/list", status: 200, text: `{"name":"a","tags":[]}`},
		{name: "its blobs stay", do: "GET /v2/a/blobs/" + sha256("layer"), status: 200, text: "layer"},
	})
}

// A tag that has moved meanwhile is not deleted by who wants the old one gone.
func TestConditionalDelete(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	m := s.pushImage(t, "a", "v1", "layer")
	s.unchanged(t, func() {
		runAll(t, s, []call{
			{name: "moved", do: "DELETE /v2/a/manifests/v1", header: []string{`If-Match: "` + sha256("old") + `"`}, status: 412, code: "MANIFEST_INVALID"},
			{name: "any but this", do: "DELETE /v2/a/manifests/v1", header: []string{`If-None-Match: "` + sha256(m) + `"`}, status: 412, code: "MANIFEST_INVALID"},
		})
	})
	runAll(t, s, []call{
		{name: "as expected", do: "DELETE /v2/a/manifests/v1", header: []string{`If-Match: "` + sha256(m) + `"`}, status: 202},
	})
}

// One digest has one meaning, whoever pushed it first.
func TestSameManifestOfAnotherType(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	body := `{"schemaVersion":2,"manifests":[]}`
	put := func(mediaType string, status int, code string) call {
		return call{name: mediaType, do: "PUT /v2/a/manifests/v1", header: []string{"Content-Type: " + mediaType}, body: body, status: status, code: code}
	}
	runAll(t, s, []call{
		put("application/vnd.oci.image.index.v1+json", 201, ""),
		put("application/vnd.docker.distribution.manifest.list.v2+json", 400, "MANIFEST_INVALID"),
		put("application/vnd.oci.image.index.v1+json", 201, ""),
	})
}
