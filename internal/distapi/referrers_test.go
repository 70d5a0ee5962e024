package distapi_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// referrersIn returns the digests of the descriptors in an answer.
func referrersIn(body string) []string {
	var list v1.Index
	_ = json.Unmarshal([]byte(body), &list)
	var digests []string
	for _, d := range list.Manifests {
		digests = append(digests, string(d.Digest))
	}
	return digests
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	subject := descriptor(oci.MediaTypeImageManifest, s.pushImage(t, "a", "v1"))
	s.pushBlob(t, "a", "sbom")
	push := func(m string, contentType string) oci.Descriptor {
		t.Helper()
		call{do: "PUT /v2/a/manifests/" + sha256(m), body: m, status: 201, want: []string{"OCI-Subject: " + string(subject.Digest)}}.run(t, s)
		return descriptor(contentType, m)
	}
	artifact := push(manifestJSON(v1.Manifest{
		ArtifactType: "application/sbom", Subject: &subject, Layers: []oci.Descriptor{layer("sbom")}, Annotations: map[string]string{"a": "b"},
	}), oci.MediaTypeImageManifest)
	artifact.ArtifactType, artifact.Annotations = "application/sbom", map[string]string{"a": "b"}
	byConfig := push(manifestJSON(v1.Manifest{Subject: &subject}), oci.MediaTypeImageManifest)
	byConfig.ArtifactType = v1.MediaTypeImageConfig
	withIndex := v1.Index{MediaType: oci.MediaTypeImageIndex, ArtifactType: "application/sbom", Subject: &subject, Manifests: []oci.Descriptor{}}
	withIndex.SchemaVersion = 2
	ofIndex := push(toJSON(withIndex), oci.MediaTypeImageIndex)
	ofIndex.ArtifactType = "application/sbom"

	list := func(name, url string, filters string, want ...oci.Descriptor) {
		t.Run(name, func(t *testing.T) {
			a := call{do: "GET " + url, status: 200, want: []string{
				"Content-Type: " + oci.MediaTypeImageIndex, "OCI-Filters-Applied: " + filters, "Link:",
			}}.run(t, s)
			slices.SortFunc(want, func(a, b oci.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
			var got v1.Index
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatal(err)
			}
			if got.SchemaVersion != 2 || got.MediaType != oci.MediaTypeImageIndex || got.Manifests == nil {
				t.Errorf("the answer is no index: %s", a.body)
			}
			if diff := cmp.Diff(append([]oci.Descriptor{}, want...), got.Manifests); diff != "" {
				t.Errorf("descriptors (-want +got):\n%s", diff)
			}
			call{do: "HEAD " + url, status: 200, want: []string{"Content-Length: " + strconv.Itoa(len(a.body))}}.run(t, s)
		})
	}
	url := "/v2/a/referrers/" + string(subject.Digest)
	list("all", url, "", artifact, byConfig, ofIndex)
	list("of a type", url+"?artifactType=application%2Fsbom", "artifactType", artifact, ofIndex)
	list("of a type that is that of the config", url+"?artifactType="+v1.MediaTypeImageConfig, "artifactType")
	list("of a type that is that of the config, encoded", url+"?artifactType="+strings.ReplaceAll(v1.MediaTypeImageConfig, "+", "%2B"), "artifactType", byConfig)
	list("of a type that none has", url+"?artifactType=x", "artifactType")
	list("empty type", url+"?artifactType=", "", artifact, byConfig, ofIndex)
	list("of an unknown subject", "/v2/a/referrers/"+sha256("unknown"), "")
	list("of an unknown repository", "/v2/nowhere/referrers/"+string(subject.Digest), "")
	list("of another repository", "/v2/b/referrers/"+string(subject.Digest), "")

	call{do: "DELETE /v2/a/manifests/" + string(artifact.Digest), status: 202}.run(t, s)
	list("after one was deleted", url, "", byConfig, ofIndex)
	call{do: "DELETE /v2/a/manifests/" + string(subject.Digest), status: 202}.run(t, s)
	list("after the subject was deleted", url, "", byConfig, ofIndex)
}

func TestReferrersOfWhatIsNotThereYet(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "{}")
	subject := descriptor(oci.MediaTypeImageManifest, "not there yet")
	m := manifestJSON(v1.Manifest{Subject: &subject})
	runAll(t, s, []call{
		{name: "push by tag", do: "PUT /v2/a/manifests/x", body: m, status: 201, want: []string{"OCI-Subject: " + sha256("not there yet")}},
		{name: "push again", do: "PUT /v2/a/manifests/x", body: m, status: 201, want: []string{"OCI-Subject: " + sha256("not there yet")}},
	})
	a := call{do: "GET /v2/a/referrers/" + sha256("not there yet"), status: 200}.run(t, s)
	if diff := cmp.Diff([]string{sha256(m)}, referrersIn(a.body)); diff != "" {
		t.Errorf("referrers (-want +got):\n%s", diff)
	}
}

func TestReferrersInPages(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "{}")
	subject := descriptor(oci.MediaTypeImageManifest, "subject")
	var all []string
	for i := range 40 {
		m := manifestJSON(v1.Manifest{
			ArtifactType: "application/odd-" + strconv.Itoa(i%2), Subject: &subject, Annotations: map[string]string{"i": strconv.Itoa(i)},
		})
		s.pushManifest(t, "a", sha256(m), m)
		if i%2 == 1 {
			all = append(all, sha256(m))
		}
	}
	slices.Sort(all)
	url := "/v2/a/referrers/" + sha256("subject") + "?artifactType=application%2Fodd-1"
	for _, n := range []int{1, 7, 16, 17, 19, 20, 21} {
		want := slices.Collect(slices.Chunk(all, n))
		if diff := cmp.Diff(want, s.pages(t, url+"&n="+strconv.Itoa(n), referrersIn)); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", n, diff)
		}
	}
	runAll(t, s, []call{
		{name: "none", do: "GET " + url + "&n=0", status: 200, want: []string{"Link:", "OCI-Filters-Applied: artifactType"}},
		{name: "page names the filter", do: "GET " + url + "&n=3", status: 200, want: []string{
			"OCI-Filters-Applied: artifactType",
			"Link: </v2/a/referrers/" + sha256("subject") + "?artifactType=application%2Fodd-1&last=sha256%3A*",
		}},
		{name: "type too long", do: "GET /v2/a/referrers/" + sha256("x") + "?artifactType=" + strings.Repeat("x", 256), status: 400, code: "PAGINATION_NUMBER_INVALID"},
		{name: "type twice", do: "GET " + url + "&artifactType=x", status: 400, code: "PAGINATION_NUMBER_INVALID"},
		{name: "type with a NUL", do: "GET /v2/a/referrers/" + sha256("x") + "?artifactType=%00", status: 400, code: "PAGINATION_NUMBER_INVALID"},
	})
}

// Annotations count against the size of an answer: each page is no larger than a
// manifest may be.
func TestReferrersWithLargeAnnotations(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "{}")
	subject := descriptor(oci.MediaTypeImageManifest, "subject")
	for i := range 7 {
		m := manifestJSON(v1.Manifest{Subject: &subject, Annotations: map[string]string{strconv.Itoa(i): strings.Repeat("x", 1<<20)}})
		s.pushManifest(t, "a", sha256(m), m)
	}
	count := 0
	for _, page := range s.pages(t, "/v2/a/referrers/"+sha256("subject"), func(body string) []string {
		if len(body) > 4<<20+4096 {
			t.Errorf("a page has %d bytes", len(body))
		}
		return referrersIn(body)
	}) {
		count += len(page)
	}
	if count != 7 {
		t.Errorf("%d of 7 referrers were listed", count)
	}
}
