package distapi_test

import (
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

func TestBadManifests(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	good := s.pushImage(t, "a", "v1", "layer")
	edit := func(pairs ...string) string {
		edited := strings.NewReplacer(pairs...).Replace(good)
		if edited == good {
			t.Fatalf("nothing to replace in %s: %q", good, pairs)
		}
		return edited
	}
	add := func(fields string) string { return "{" + fields + "," + good[1:] }
	list := index(good)
	tampered := layer("layer")
	tampered.Data = []byte("other")
	foreign := descriptor("text/plain", "layer")
	foreign.MediaType = ""
	negative := layer("layer")
	negative.Size = -1
	badSubject := descriptor(oci.MediaTypeImageManifest, "x")
	badSubject.Digest = "sha256:x"
	for name, body := range map[string]string{
		"nothing":                          "",
		"no JSON":                          "manifest",
		"broken JSON":                      good[:len(good)-1],
		"more behind it":                   good + "{}",
		"another one behind it":            good + good,
		"text behind it":                   good + " x",
		"a NUL behind it":                  good + "\x00",
		"a byte order mark":                "\ufeff" + good,
		"an array":                         "[" + good + "]",
		"null":                             "null",
		"a string":                         `"` + sha256("x") + `"`,
		"empty object":                     "{}",
		"a field twice":                    add(`"schemaVersion":2`),
		"a field twice, with other values": add(`"mediaType":"` + oci.MediaTypeImageIndex + `"`),
		"a field twice, one escaped":       add(`"\u006dediaType":"` + oci.MediaTypeImageManifest + `"`),
		"layers twice":                     add(`"layers":[]`),
		"a field twice, deep inside":       edit(`"digest"`, `"size":1,"digest"`),
		"a field in other case":            add(`"MediaType":"` + oci.MediaTypeImageIndex + `"`),
		"layers in other case":             add(`"Layers":[]`),
		"layers with a long s":             add(`"layerſ":[]`),
		"layers with a long s, behind":     good[:len(good)-1] + `,"layerſ":[]}`,
		"subject with a long s, escaped":   add(`"\u017fubject":null`),
		"digest in other case":             edit(`"digest"`, `"Digest"`),
		"an image that is an index too":    add(`"manifests":[]`),
		"an image with no manifests":       add(`"manifests":null`),
		"an index that is an image too":    strings.Replace(list, "{", `{"config":null,`, 1),
		"an index with layers":             strings.Replace(list, "{", `{"layers":[],`, 1),
		"an index that says it is an image": strings.Replace(list, oci.MediaTypeImageIndex, oci.MediaTypeImageManifest,
			1),
		"an image that says it is an index": edit(`"mediaType":"`+oci.MediaTypeImageManifest, `"mediaType":"`+oci.MediaTypeImageIndex),
		"schema 1":                          edit(`"schemaVersion":2`, `"schemaVersion":1`),
		"no schema version":                 edit(`"schemaVersion":2,`, ``),
		"schema version as text":            edit(`"schemaVersion":2`, `"schemaVersion":"2"`),
		"no media type":                     edit(`"mediaType":"`+oci.MediaTypeImageManifest+`",`, ``),
		"a media type nobody knows":         edit(oci.MediaTypeImageManifest, "application/example"),
		"media type of schema 1":            edit(oci.MediaTypeImageManifest, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
		"media type as a number":            edit(`"`+oci.MediaTypeImageManifest+`"`, "1"),
		"no config":                         edit(`"config"`, `"configuration"`),
		"config of text":                    edit(`"config":{`, `"config":"x","x":{`),
		"layers of text":                    edit(`"layers":[`, `"layers":["x",`),
		"a digest that is none":             edit(sha256("layer"), "sha256:x"),
		"a digest of unknown algorithm":     edit(sha256("layer"), "md5:d41d8cd98f00b204e9800998ecf8427e"),
		"an empty digest":                   edit(sha256("layer"), ""),
		"a size that is text":               edit(`"size":5`, `"size":"5"`),
		"a size with a fraction":            edit(`"size":5`, `"size":5.5`),
		"a size below zero":                 image(negative),
		"data of something else":            image(tampered),
		"layer without media type":          image(foreign),
		"subject with a bad digest":         manifestJSON(v1.Manifest{Subject: &badSubject}),
		"subject of text":                   add(`"subject":"x"`),
		"annotations of numbers":            add(`"annotations":{"a":1}`),
		"nested too deep":                   add(`"x":` + strings.Repeat("[", 50) + strings.Repeat("]", 50)),
		"nested far too deep":               add(`"x":` + strings.Repeat(`{"x":`, 100_000) + "1" + strings.Repeat("}", 100_000)),
		"too many layers":                   edit(`"layers":[`, `"layers":[`+strings.Repeat(toJSON(layer("layer"))+",", 10_000)),
	} {
		t.Run(name, func(t *testing.T) {
			s.unchanged(t, func() {
				for _, reference := range []string{"v1", "new", sha256(body), sha256(body) + "?tag=new"} {
					call{do: "PUT /v2/a/manifests/" + reference, body: body, status: 400, code: "MANIFEST_INVALID"}.run(t, s)
				}
				call{do: "PUT /v2/new/manifests/v1", body: body, status: 400, code: "MANIFEST_INVALID"}.run(t, s)
			})
			call{do: "GET /v2/a/manifests/" + sha256(body), status: 404, code: "MANIFEST_UNKNOWN"}.run(t, s)
			call{do: "GET /v2/new/tags/list", status: 404, code: "NAME_UNKNOWN"}.run(t, s)
		})
	}
}

func TestBadManifestTypes(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	good := s.pushImage(t, "a", "v1", "layer")
	s.unchanged(t, func() {
		for _, contentType := range []string{
			oci.MediaTypeImageIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList, "application/json", "text/plain", "x", "a/b/c", ";", "application/octet-stream",
			"application/vnd.docker.distribution.manifest.v1+json", v1.MediaTypeImageConfig, oci.MediaTypeImageManifest + ", text/plain",
		} {
			header := []string{"Content-Type: " + contentType}
			call{do: "PUT /v2/a/manifests/new", header: header, body: good, status: 400, code: "MANIFEST_INVALID"}.run(t, s)
		}
		call{
			do: "PUT /v2/a/manifests/new", header: []string{"Content-Type: " + oci.MediaTypeImageManifest},
			body: index(good), status: 400, code: "MANIFEST_INVALID",
		}.run(t, s)
	})
}

func TestManifestWithAnotherDigest(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	good := s.pushImage(t, "a", "v1", "layer")
	s.unchanged(t, func() {
		for _, digest := range []string{sha256("other"), sha512("other"), sha256(good + "\n"), sha256("")} {
			call{do: "PUT /v2/a/manifests/" + digest, body: good, status: 400, code: "DIGEST_INVALID"}.run(t, s)
			call{do: "PUT /v2/a/manifests/" + digest + "?tag=x", body: good, status: 400, code: "DIGEST_INVALID"}.run(t, s)
			call{do: "GET /v2/a/manifests/" + digest, status: 404, code: "MANIFEST_UNKNOWN"}.run(t, s)
		}
	})
}
