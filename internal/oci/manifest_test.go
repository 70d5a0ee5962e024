package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/oci"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func descriptor(mediaType, digest string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, mediaType, digest)
}

func image(fields string) string {
	return `{"schemaVersion":2,"config":` + descriptor("application/vnd.oci.image.config.v1+json", digestA) + `,"layers":[]` + fields + `}`
}

func TestParseManifestReadsWhatTheRegistryNeeds(t *testing.T) {
	t.Parallel()
	layer := descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digestB)
	foreign := descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", digestB)
	dockerForeign := descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digestB)
	config := descriptor("application/vnd.oci.image.config.v1+json", digestA)
	for name, c := range map[string]struct {
		contentType, body string
		want              oci.Manifest
	}{
		"image": {
			oci.MediaTypeImageManifest,
			`{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `]}`,
			oci.Manifest{ArtifactType: "application/vnd.oci.image.config.v1+json", Blobs: []oci.Digest{digestA, digestB}},
		},
		"content type with parameters": {
			oci.MediaTypeImageManifest + "; charset=utf-8", image(""),
			oci.Manifest{ArtifactType: "application/vnd.oci.image.config.v1+json", Blobs: []oci.Digest{digestA}},
		},
		"media type only in the body": {
			"", image(`,"mediaType":"` + oci.MediaTypeImageManifest + `"`),
			oci.Manifest{ArtifactType: "application/vnd.oci.image.config.v1+json", Blobs: []oci.Digest{digestA}},
		},
		"artifact with subject and annotations": {
			oci.MediaTypeImageManifest,
			image(`,"artifactType":"x/y","annotations":{"k":"v","Digest":"mine"},"subject":` + descriptor(oci.MediaTypeImageManifest, digestB)),
			oci.Manifest{ArtifactType: "x/y", Subject: digestB, Annotations: map[string]string{"k": "v", "Digest": "mine"}, Blobs: []oci.Digest{digestA}},
		},
		"layers that are held elsewhere": {
			oci.MediaTypeImageManifest,
			`{"schemaVersion":2,"config":` + config + `,"layers":[` + foreign + `,` + dockerForeign + `]}`,
			oci.Manifest{ArtifactType: "application/vnd.oci.image.config.v1+json", Blobs: []oci.Digest{digestA}},
		},
		"index": {
			oci.MediaTypeImageIndex,
			`{"schemaVersion":2,"manifests":[` + descriptor(oci.MediaTypeImageManifest, digestA) + `]}`,
			oci.Manifest{Manifests: []oci.Digest{digestA}},
		},
		"docker list": {
			oci.MediaTypeDockerList, `{"schemaVersion":2,"manifests":[]}`, oci.Manifest{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := oci.ParseManifest(c.contentType, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			got.MediaType = ""
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseManifestRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	many := strings.TrimSuffix(strings.Repeat(descriptor("x/y", digestA)+",", 10_001), ",")
	for name, c := range map[string]struct{ contentType, body string }{
		"nothing":                   {oci.MediaTypeImageManifest, ``},
		"no JSON":                   {oci.MediaTypeImageManifest, `hello`},
		"a list":                    {oci.MediaTypeImageManifest, `[]`},
		"something behind it":       {oci.MediaTypeImageManifest, image("") + `{}`},
		"no media type":             {"", image("")},
		"unknown media type":        {"application/json", image("")},
		"schema 1":                  {"application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1}`},
		"malformed content type":    {"a/b; =", image("")},
		"two media types":           {oci.MediaTypeImageIndex, image(`,"mediaType":"` + oci.MediaTypeImageManifest + `"`)},
		"schema version 1":          {oci.MediaTypeImageManifest, strings.Replace(image(""), ":2", ":1", 1)},
		"no config":                 {oci.MediaTypeImageManifest, `{"schemaVersion":2,"layers":[]}`},
		"image with manifests":      {oci.MediaTypeImageManifest, image(`,"manifests":[]`)},
		"image with null manifests": {oci.MediaTypeImageManifest, image(`,"manifests":null`)},
		"index with layers":         {oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"layers":[]}`},
		"index with config":         {oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"config":{}}`},
		"a field twice":             {oci.MediaTypeImageManifest, image(`,"layers":[]`)},
		"a field in another case":   {oci.MediaTypeImageManifest, image(`,"Manifests":[]`)},
		"a field with a long s":     {oci.MediaTypeImageManifest, image(`,"manifeſts":[]`)},
		"an escaped long s":         {oci.MediaTypeImageManifest, image(`,"layer\u017f":[]`)},
		"a nested field twice":      {oci.MediaTypeImageManifest, image(`,"annotations":{"a":"1","a":"2"}`)},
		"nested too deep":           {oci.MediaTypeImageManifest, image(`,"x":` + deep)},
		"too many layers":           {oci.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + descriptor("x/y", digestA) + `,"layers":[` + many + `]}`},
		"bad digest":                {oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + descriptor("x/y", "sha256:abc") + `]}`},
		"unknown digest algorithm":  {oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + descriptor("x/y", "md5:abc") + `]}`},
		"bad subject":               {oci.MediaTypeImageManifest, image(`,"subject":{"mediaType":"x/y","digest":"x","size":1}`)},
		"negative size":             {oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"x/y","digest":"` + digestA + `","size":-1}]}`},
		"descriptor without type":   {oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[{"digest":"` + digestA + `","size":1}]}`},
		"data that is not its own":  {oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"x/y","digest":"` + digestA + `","size":1,"data":"YQ=="}]}`},
		"zero byte in artifactType": {oci.MediaTypeImageManifest, image(`,"artifactType":"a\u0000b"`)},
		"line end in mediaType":     {oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + descriptor("x\ny", digestA) + `]}`},
		"annotation not a string":   {oci.MediaTypeImageManifest, image(`,"annotations":{"a":1}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := oci.ParseManifest(c.contentType, []byte(c.body))
			if !errors.Is(err, oci.Errorf(oci.ManifestInvalid, "")) {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(oci.MediaTypeImageManifest, []byte(image("")))
	f.Add("", []byte(image(`,"mediaType":"`+oci.MediaTypeImageManifest+`"`)))
	f.Add(oci.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`))
	f.Add(oci.MediaTypeDockerList, []byte(`{"schemaVersion":2,"manifests":[`+descriptor("a/b", digestA)+`]}`))
	f.Add(oci.MediaTypeImageManifest, []byte(image(`,"LAYERS":[]`)))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := oci.ParseManifest(contentType, body)
		if err != nil {
			if !errors.Is(err, oci.Errorf(oci.ManifestInvalid, "")) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		// What is accepted is one object, and not two kinds of manifest.
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("accepted, but not an object: %v", err)
		}
		_, hasManifests := fields["manifests"]
		_, hasLayers := fields["layers"]
		if hasManifests && hasLayers {
			t.Errorf("accepted as %s with layers and manifests", m.MediaType)
		}
		for _, d := range append(m.Blobs, m.Manifests...) {
			if _, err := oci.ParseDigest(string(d)); err != nil {
				t.Errorf("accepted with the digest %q", d)
			}
		}
	})
}
