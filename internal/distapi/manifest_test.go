package distapi_test

import (
	"strconv"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

func TestManifestPutAndRead(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a/b", "{}")
	s.pushBlob(t, "a/b", "layer")
	m := image(layer("layer"))
	put := func(name, reference, digest string) call {
		return call{name: name, do: "PUT /v2/a/b/manifests/" + reference, body: m, status: 201, want: []string{
			"Location: /v2/a/b/manifests/" + digest, "Docker-Content-Digest: " + digest,
			"Content-Length: 0", "OCI-Subject:", "OCI-Tag:", "Warning:",
		}}
	}
	headers := []string{
		"Content-Type: " + oci.MediaTypeImageManifest, "Docker-Content-Digest: " + sha256(m),
		`ETag: "` + sha256(m) + `"`, "Content-Length: " + strconv.Itoa(len(m)),
	}
	get := func(name, reference string, header ...string) call {
		return call{name: name, do: "GET /v2/a/b/manifests/" + reference, header: header, status: 200, text: m, want: headers}
	}
	runAll(t, s, []call{
		put("by tag", "v1", sha256(m)),
		put("by tag again", "v1", sha256(m)),
		get("by tag", "v1"),
		get("by digest", sha256(m)),
		get("by digest with the colon encoded", strings.Replace(sha256(m), ":", "%3A", 1)),
		{name: "head by tag", do: "HEAD /v2/a/b/manifests/v1", status: 200, want: headers},
		{name: "head by digest", do: "HEAD /v2/a/b/manifests/" + sha256(m), status: 200, want: headers},
		get("whatever Accept says: an index", "v1", "Accept: "+oci.MediaTypeImageIndex),
		get("whatever Accept says: a Docker manifest", "v1", "Accept: "+oci.MediaTypeDockerManifest),
		get("whatever Accept says: a picture", "v1", "Accept: image/png;q=1, */*;q=0"),
		get("whatever Accept says: nonsense", "v1", "Accept: ,;=/"),
		get("a Range is ignored", "v1", "Range: bytes=0-1"),
		{name: "not modified", do: "GET /v2/a/b/manifests/v1", header: []string{`If-None-Match: "` + sha256(m) + `"`}, status: 304, want: []string{headers[1], headers[2], "Content-Type:"}},
		{name: "not modified, head by digest", do: "HEAD /v2/a/b/manifests/" + sha256(m), header: []string{"If-None-Match: *"}, status: 304, want: headers[1:3]},
		get("If-Match holds", "v1", `If-Match: "`+sha256(m)+`"`),
		{name: "If-Match of something else", do: "GET /v2/a/b/manifests/v1", header: []string{`If-Match: "` + sha256("other") + `"`}, status: 412, code: "MANIFEST_INVALID"},
		get("modified", "v1", `If-None-Match: "`+sha256("other")+`"`),
		{name: "unknown tag", do: "GET /v2/a/b/manifests/v2", status: 404, code: "MANIFEST_UNKNOWN", want: []string{"ETag:"}},
		{name: "unknown tag, head", do: "HEAD /v2/a/b/manifests/v2", status: 404},
		{name: "unknown digest", do: "GET /v2/a/b/manifests/" + sha256("other"), status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "unknown repository", do: "GET /v2/nowhere/manifests/v1", status: 404, code: "NAME_UNKNOWN"},
		{name: "unknown repository, by digest", do: "GET /v2/nowhere/manifests/" + sha256(m), status: 404, code: "NAME_UNKNOWN"},
		{name: "unknown whatever the client has", do: "GET /v2/a/b/manifests/v2", header: []string{"If-None-Match: *"}, status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "a blob is no manifest", do: "GET /v2/a/b/manifests/" + sha256("layer"), status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "a manifest is no blob", do: "GET /v2/a/b/blobs/" + sha256(m), status: 404, code: "BLOB_UNKNOWN"},
		put("by digest in sha512", sha512(m), sha512(m)),
		{name: "in sha512", do: "GET /v2/a/b/manifests/" + sha512(m), status: 200, text: m, want: []string{"Docker-Content-Digest: " + sha512(m)}},
	})
}

func TestManifestPutWithTags(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "{}")
	m := image()
	var many, rows []string
	for i := range 15 {
		many, rows = append(many, "tag=many-"+strconv.Itoa(i)), append(rows, "many-"+strconv.Itoa(i))
	}
	manifest := "/v2/a/manifests/" + sha256(m)
	runAll(t, s, []call{
		{name: "one", do: "PUT " + manifest + "?tag=one", body: m, status: 201, want: []string{"OCI-Tag: one", "Location: " + manifest}},
		{name: "two", do: "PUT " + manifest + "?tag=two&tag=Two", body: m, status: 201, want: []string{"OCI-Tag: two, Two"}},
		{name: "the same twice", do: "PUT " + manifest + "?tag=x&tag=x", body: m, status: 201, want: []string{"OCI-Tag: x"}},
		{name: "many", do: "PUT " + manifest + "?" + strings.Join(many, "&"), body: m, status: 201, want: []string{"OCI-Tag: " + strings.Join(rows, ", ")}},
		{name: "read by the last one", do: "GET /v2/a/manifests/many-14", status: 200, text: m},
		{name: "in sha512", do: "PUT /v2/a/manifests/" + sha512(m) + "?tag=long", body: m, status: 201, want: []string{"OCI-Tag: long", "Docker-Content-Digest: " + sha512(m)}},
		{name: "the tag has that digest", do: "HEAD /v2/a/manifests/long", status: 200, want: []string{"Docker-Content-Digest: " + sha512(m)}},
	})
	s.unchanged(t, func() {
		runAll(t, s, []call{
			{name: "with a push by tag", do: "PUT /v2/a/manifests/new?tag=new2", body: m, status: 400, code: "MANIFEST_INVALID"},
			{name: "one of them is none", do: "PUT " + manifest + "?tag=new&tag=.bad", body: m, status: 400, code: "MANIFEST_INVALID"},
			{name: "an empty one", do: "PUT " + manifest + "?tag=", body: m, status: 400, code: "MANIFEST_INVALID"},
			{name: "too many", do: "PUT " + manifest + "?tag=new" + strings.Repeat("&tag=new", 100), body: m, status: 400, code: "MANIFEST_INVALID"},
			{name: "the wrong digest", do: "PUT /v2/a/manifests/" + sha256("other") + "?tag=new", body: m, status: 400, code: "DIGEST_INVALID", want: []string{"OCI-Tag:"}},
		})
	})
}

func TestManifestKinds(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	child := s.pushImage(t, "a", "child", "layer")
	nested := index(child)
	docker := strings.ReplaceAll(child, oci.MediaTypeImageManifest, oci.MediaTypeDockerManifest)
	untyped := strings.Replace(child, `"mediaType":"`+oci.MediaTypeImageManifest+`",`, "", 1)
	foreign := manifestJSON(v1.Manifest{Layers: []oci.Descriptor{
		descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "not here 1"),
		descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "not here 2"),
	}})
	embedded := descriptor(v1.MediaTypeImageLayer, "layer")
	embedded.Data = []byte("layer")
	for _, test := range []struct{ name, contentType, body, stored string }{
		{"image", oci.MediaTypeImageManifest, child, oci.MediaTypeImageManifest},
		{"image, type with parameters", oci.MediaTypeImageManifest + "; charset=utf-8", child, oci.MediaTypeImageManifest},
		{"image, type only in the header", oci.MediaTypeImageManifest, untyped, oci.MediaTypeImageManifest},
		{"image, type only in the body", "", child + "\n", oci.MediaTypeImageManifest},
		{"index", oci.MediaTypeImageIndex, nested, oci.MediaTypeImageIndex},
		{"index of an index", oci.MediaTypeImageIndex, index(nested, child), oci.MediaTypeImageIndex},
		{"index of nothing", oci.MediaTypeImageIndex, index(), oci.MediaTypeImageIndex},
		{"Docker manifest", oci.MediaTypeDockerManifest, docker, oci.MediaTypeDockerManifest},
		{"Docker list", oci.MediaTypeDockerList, strings.Replace(index(docker), oci.MediaTypeImageIndex, oci.MediaTypeDockerList, 1), oci.MediaTypeDockerList},
		{"layers that need not be here", oci.MediaTypeImageManifest, foreign, oci.MediaTypeImageManifest},
		{"layer with its content", oci.MediaTypeImageManifest, image(embedded), oci.MediaTypeImageManifest},
		{"artifact", oci.MediaTypeImageManifest, manifestJSON(v1.Manifest{ArtifactType: "application/example", Config: v1.DescriptorEmptyJSON}), oci.MediaTypeImageManifest},
		{"fields we do not know", oci.MediaTypeImageManifest, strings.Replace(child, "{", `{"com.example":{"a":[1,{"b":null}]},`, 1), oci.MediaTypeImageManifest},
	} {
		t.Run(test.name, func(t *testing.T) {
			var header []string
			if test.contentType != "" {
				header = []string{"Content-Type: " + test.contentType}
			}
			call{do: "PUT /v2/a/manifests/x", header: header, body: test.body, status: 201, want: []string{"Docker-Content-Digest: " + sha256(test.body)}}.run(t, s)
			call{do: "GET /v2/a/manifests/x", status: 200, text: test.body, want: []string{"Content-Type: " + test.stored}}.run(t, s)
		})
	}
}

func TestManifestNamesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "other", "layer")
	s.pushBlob(t, "a", "{}")
	other := s.pushImage(t, "other", "v1")
	s.unchanged(t, func() {
		runAll(t, s, []call{
			{name: "layer", do: "PUT /v2/a/manifests/x", body: image(layer("missing")), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
			{name: "layer, by digest", do: "PUT /v2/a/manifests/" + sha256(image(layer("missing"))), body: image(layer("missing")), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
			{name: "layer of another repository", do: "PUT /v2/a/manifests/x", body: image(layer("layer")), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
			{name: "config", do: "PUT /v2/empty/manifests/x", body: image(), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
			{name: "manifest", do: "PUT /v2/a/manifests/x", body: index(image()), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
			{name: "manifest of another repository", do: "PUT /v2/a/manifests/x", body: index(other), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
			{name: "a blob as a manifest", do: "PUT /v2/a/manifests/x", body: index("{}"), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
			{name: "not even the repository is there", do: "GET /v2/empty/tags/list", status: 404, code: "NAME_UNKNOWN"},
		})
	})
}

func TestSparseManifests(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{Sparse: true})
	sparse := index(image(), image(layer("missing")))
	runAll(t, s, []call{
		{name: "image", do: "PUT /v2/a/manifests/image", body: image(layer("missing")), status: 201, want: []string{`Warning: 299 - "the manifest names 2 *`}},
		{name: "index", do: "PUT /v2/a/manifests/index", body: sparse, status: 201, want: []string{`Warning: 299 - "the manifest names 1 *`}},
		{name: "read", do: "GET /v2/a/manifests/index", status: 200, text: sparse, want: []string{"Warning:"}},
		{name: "what is missing stays unknown", do: "GET /v2/a/blobs/" + sha256("missing"), status: 404, code: "BLOB_UNKNOWN"},
	})
	s.pushBlob(t, "other", "missing")
	call{name: "also if another repository has it", do: "GET /v2/a/blobs/" + sha256("missing"), status: 404, code: "BLOB_UNKNOWN"}.run(t, s)
	s.pushBlob(t, "a", "{}")
	s.pushBlob(t, "a", "missing")
	call{do: "PUT /v2/a/manifests/image", body: image(layer("missing")), status: 201, want: []string{"Warning:"}}.run(t, s)
}

func TestManifestSize(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "{}")
	padded := func(size int) string {
		m := manifestJSON(v1.Manifest{Annotations: map[string]string{"pad": ""}})
		return strings.Replace(m, `"pad":"`, `"pad":"`+strings.Repeat("x", size-len(m)), 1)
	}
	fits, over := padded(oci.MaxManifestSize), padded(oci.MaxManifestSize+1)
	if len(fits) != 4<<20 || len(over) != 4<<20+1 {
		t.Fatalf("the manifests have %d and %d bytes", len(fits), len(over))
	}
	runAll(t, s, []call{
		{name: "as large as may be", do: "PUT /v2/a/manifests/" + sha256(fits), body: fits, status: 201},
		{name: "as large as may be, streamed", do: "PUT /v2/a/manifests/large", body: fits, header: []string{"Content-Length: ?"}, status: 201},
		{name: "comes back", do: "GET /v2/a/manifests/large", status: 200, text: fits},
	})
	s.unchanged(t, func() {
		runAll(t, s, []call{
			{name: "one byte more", do: "PUT /v2/a/manifests/over", body: over, status: 413, code: "MANIFEST_INVALID"},
			{name: "one byte more, streamed", do: "PUT /v2/a/manifests/over", body: over, header: []string{"Content-Length: ?"}, status: 413, code: "MANIFEST_INVALID"},
		})
		call{
			name: "much more is not even waited for", do: "PUT /v2/a/manifests/over", header: []string{"Expect: 100-continue"},
			status: 413, code: "MANIFEST_INVALID",
		}.rawCall(t, s, 1<<40)
	})
}
