package distapi_test

import (
	"strconv"
	"testing"

	"github.com/moorgate/moorgate/internal/registry"
)

// Preconditions let clients push to a tag without overwriting what somebody else
// has pushed meanwhile.
func TestManifestPutConditions(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	first, second := image(), index()
	tag := func(m string) string { return `"` + sha256(m) + `"` }
	for i, test := range []struct {
		name   string
		before string // what the tag points to; "" if it is not there
		header []string
		holds  bool
	}{
		{"If-None-Match any, new tag", "", []string{"If-None-Match: *"}, true},
		{"If-None-Match any, tag exists", first, []string{"If-None-Match: *"}, false},
		{"If-None-Match any, in a list", first, []string{`If-None-Match: "x", *`}, false},
		{"If-None-Match of what is there", first, []string{"If-None-Match: " + tag(first)}, false},
		{"If-None-Match of what is there, weak", first, []string{"If-None-Match: W/" + tag(first)}, false},
		{"If-None-Match of something else", first, []string{"If-None-Match: " + tag(second)}, true},
		{"If-None-Match of something, new tag", "", []string{"If-None-Match: " + tag(first)}, true},
		{"If-Match any, tag exists", first, []string{"If-Match: *"}, true},
		{"If-Match any, new tag", "", []string{"If-Match: *"}, false},
		{"If-Match of what is there", first, []string{"If-Match: " + tag(first)}, true},
		{"If-Match of what is there, in a list", first, []string{`If-Match: "x", ` + tag(first)}, true},
		{"If-Match of what is there, in two headers", first, []string{`If-Match: "x"`, "If-Match: " + tag(first)}, true},
		{"If-Match of what is there, weak", first, []string{"If-Match: W/" + tag(first)}, false},
		{"If-Match of something else", first, []string{"If-Match: " + tag(second)}, false},
		{"If-Match of something, new tag", "", []string{"If-Match: " + tag(second)}, false},
		{"If-Match of nonsense", first, []string{"If-Match: nonsense"}, false},
		{"If-Match of nothing", first, []string{"If-Match: "}, false},
		{"both hold", first, []string{"If-Match: " + tag(first), "If-None-Match: " + tag(second)}, true},
		{"one of both does not hold", first, []string{"If-Match: " + tag(first), "If-None-Match: *"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			repo := "a" + strconv.Itoa(i)
			s.pushBlob(t, repo, "{}")
			if test.before != "" {
				s.pushManifest(t, repo, "x", test.before)
			}
			put := call{do: "PUT /v2/" + repo + "/manifests/x", header: test.header, body: second, status: 201}
			if test.holds {
				put.run(t, s)
				call{do: "GET /v2/" + repo + "/manifests/x", status: 200, text: second}.run(t, s)
				return
			}
			put.status, put.code = 412, "MANIFEST_INVALID"
			s.unchanged(t, func() { put.run(t, s) })
			call{do: "GET /v2/" + repo + "/manifests/" + sha256(second), status: 404, code: "MANIFEST_UNKNOWN"}.run(t, s)
			if test.before != "" {
				call{do: "GET /v2/" + repo + "/manifests/x", status: 200, text: test.before}.run(t, s)
			}
		})
	}
}

// Tags that a push by digest sets are all or none.
func TestManifestPutConditionsOnSeveralTags(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "{}")
	s.pushManifest(t, "a", "old", image())
	m := index()
	put := call{do: "PUT /v2/a/manifests/" + sha256(m) + "?tag=new&tag=old", header: []string{"If-None-Match: *"}, body: m, status: 412, code: "MANIFEST_INVALID"}
	s.unchanged(t, func() { put.run(t, s) })
	runAll(t, s, []call{
		{name: "the new one is not there", do: "GET /v2/a/manifests/new", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "the manifest is not there", do: "GET /v2/a/manifests/" + sha256(m), status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "the old one is where it was", do: "GET /v2/a/manifests/old", status: 200, text: image()},
	})
}
