package distapi_test

import (
	"encoding/json"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/opencontainers/image-spec/specs-go"

	"github.com/moorgate/moorgate/internal/oci"
)

// sha256 is the digest of a text.
func sha256(text string) string { return string(oci.SHA256.FromString(text)) }

// sha512 is the digest of a text.
func sha512(text string) string { return string(oci.SHA512.FromString(text)) }

// descriptor names a text.
func descriptor(mediaType, text string) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: oci.SHA256.FromString(text), Size: int64(len(text))}
}

func layer(text string) oci.Descriptor { return descriptor(v1.MediaTypeImageLayer, text) }

// image is the JSON of an image manifest whose config is the text "{}".
func image(layers ...oci.Descriptor) string {
	return manifestJSON(v1.Manifest{Layers: layers})
}

// manifestJSON fills in what a manifest must have and m has not.
func manifestJSON(m v1.Manifest) string {
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	if m.MediaType == "" {
		m.MediaType = oci.MediaTypeImageManifest
	}
	if m.Config.Digest == "" {
		m.Config = descriptor(v1.MediaTypeImageConfig, "{}")
	}
	if m.Layers == nil {
		m.Layers = []oci.Descriptor{}
	}
	return toJSON(m)
}

// index is the JSON of an image index of manifests.
func index(manifests ...string) string {
	list := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{}}
	for _, m := range manifests {
		list.Manifests = append(list.Manifests, descriptor(oci.MediaTypeImageManifest, m))
	}
	return toJSON(list)
}

func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// pushBlob stores a text in a repository.
func (s *server) pushBlob(t testing.TB, repo, text string) {
	t.Helper()
	call{do: "POST /v2/" + repo + "/blobs/uploads/?digest=" + sha256(text), body: text, status: 201}.run(t, s)
}

// pushManifest stores a manifest under a reference.
func (s *server) pushManifest(t testing.TB, repo, reference, manifest string) {
	t.Helper()
	call{do: "PUT /v2/" + repo + "/manifests/" + reference, body: manifest, status: 201}.run(t, s)
}

// pushImage stores an image of the given layers, and all that it names.
func (s *server) pushImage(t testing.TB, repo, tag string, layers ...string) string {
	t.Helper()
	s.pushBlob(t, repo, "{}")
	var list []oci.Descriptor
	for _, text := range layers {
		s.pushBlob(t, repo, text)
		list = append(list, layer(text))
	}
	manifest := image(list...)
	s.pushManifest(t, repo, tag, manifest)
	return manifest
}
