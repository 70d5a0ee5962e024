package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/audit"
)

// since returns what was recorded during do, in short.
func (g *gateway) since(do func()) []string {
	g.mu.Lock()
	g.changed = nil
	g.mu.Unlock()
	do()
	g.mu.Lock()
	defer g.mu.Unlock()
	list := []string{}
	for _, r := range g.changed {
		list = append(list, told(r))
	}
	return list
}

func told(r audit.Record) string {
	text := fmt.Sprintf("%s %s %s %s:%s %s", r.Outcome, r.Operation, r.Scope.Action, r.Scope.Repo, r.Scope.Tag, r.Digest)
	if r.From != "" {
		text += " from " + r.From
	}
	if r.Status != 0 {
		text += fmt.Sprintf(" %d %s", r.Status, r.Code)
	}
	return strings.TrimSpace(text)
}

// TestWhatChangesIsRecorded is the table of the records that each request leaves
// that changes something in a real registry, or fails to.
func TestWhatChangesIsRecorded(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	const m, other = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`,
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"b"}}`
	dm, do, layer := digestOf(m), digestOf(other), digestOf("layer")
	at := func(answer answer) string { return answer.header.Get("Location") }
	begin := func() string { return at(g.want(t, 202, "alice", "POST /v2/shared/a/blobs/uploads/", "")) }
	by := func(user, line string, status int, body string) func() {
		return func() { g.want(t, status, user, line, body) }
	}
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"a blob in one piece", by("alice", "POST /v2/shared/a/blobs/uploads/?digest="+layer, 201, "layer"), []string{"done upload-start push shared/a: " + layer}},
		{"with another digest", by("alice", "POST /v2/shared/a/blobs/uploads/?digest="+layer, 400, "other"), []string{"failed upload-start push shared/a: " + layer + " 400"}},
		{"a session begins, gets a part and ends", func() {
			session := at(g.want(t, 202, "alice", "PATCH "+begin(), "la"))
			g.want(t, 204, "alice", "DELETE "+session, "")
		}, []string{}},
		{"a session that is finished", func() {
			session := at(g.want(t, 202, "alice", "PATCH "+begin(), "la"))
			g.want(t, 201, "alice", "PUT "+session+"?digest="+layer, "yer")
		}, []string{"done upload-finish push shared/a: " + layer}},
		{"one with another digest", func() {
			g.want(t, 400, "alice", "PUT "+begin()+"?digest="+layer, "other")
		}, []string{"failed upload-finish push shared/a: " + layer + " 400"}},
		{"one of somebody else", func() {
			g.want(t, 404, "mallory", "PUT "+begin()+"?digest="+layer, "layer")
		}, []string{"failed upload-finish push shared/a: " + layer + " 404 BLOB_UPLOAD_UNKNOWN"}},
		{"mounted", by("alice", "POST /v2/shared/b/blobs/uploads/?from=shared/a&mount="+layer, 201, ""), []string{"done upload-start push shared/b: " + layer + " from shared/a"}},
		{"mounted from where it was seen", by("alice", "POST /v2/shared/c/blobs/uploads/?mount="+layer, 201, ""), []string{"done upload-start push shared/c: " + layer + " from shared/b"}},
		{"not there to mount", by("alice", "POST /v2/shared/b/blobs/uploads/?from=shared/a&mount="+digestOf("unknown"), 202, ""), []string{}},
		{"not to be read", by("mallory", "POST /v2/shared/b/blobs/uploads/?from=private/a&mount="+layer, 202, ""), []string{"denied upload-start pull private/a: " + layer}},
		{"a tag is made", by("mallory", "PUT /v2/shared/a/manifests/v1", 201, m), []string{"done manifest-put push shared/a:v1 " + dm}},
		{"a tag is moved that may be", by("alice", "PUT /v2/shared/a/manifests/v1", 201, other), []string{"done manifest-put push shared/a:v1 " + do}},
		{"one that may not", by("mallory", "PUT /v2/shared/a/manifests/v1", 403, m), []string{"denied manifest-put overwrite shared/a:v1"}},
		{"by digest with a tag", by("alice", "PUT /v2/shared/a/manifests/"+dm+"?tag=x", 201, m), []string{"done manifest-put push shared/a:x " + dm}},
		{"no manifest", by("alice", "PUT /v2/shared/a/manifests/x", 400, "{"), []string{"failed manifest-put push shared/a:x  400"}},
		{"a tag goes", by("alice", "DELETE /v2/shared/a/manifests/x", 202, ""), []string{"done manifest-delete delete shared/a:x"}},
		{"again", by("alice", "DELETE /v2/shared/a/manifests/x", 404, ""), []string{"failed manifest-delete delete shared/a:x  404"}},
		{"what a tag needs that may not go", by("mallory", "DELETE /v2/shared/a/manifests/"+do, 403, ""), []string{"denied manifest-delete delete shared/a:v1 " + do}},
		{"a manifest goes", by("alice", "DELETE /v2/shared/a/manifests/"+do, 202, ""), []string{"done manifest-delete delete shared/a: " + do}},
		{"a blob goes", by("alice", "DELETE /v2/shared/a/blobs/"+layer, 202, ""), []string{"done blob-delete delete shared/a: " + layer}},
		{"reading", by("alice", "GET /v2/shared/a/tags/list", 200, ""), []string{}},
	} {
		if diff := cmp.Diff(step.want, g.since(step.do)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// Whether an upstream that does not say so has done what it was asked is not known,
// and the record says that.
func TestRecordOfAnUpstreamThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		want     string
	}{
		"an error":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "unknown manifest-delete delete shared/a:x  500"},
		"a refusal":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) }, "failed manifest-delete delete shared/a:x  405"},
		"our fault":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, "unknown manifest-delete delete shared/a:x  502 UNAVAILABLE"},
		"a redirect":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "failed manifest-delete delete shared/a:x  304"},
		"it breaks off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unknown manifest-delete delete shared/a:x  502 UNAVAILABLE"},
		"it breaks off after its yes": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(202)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "done manifest-delete delete shared/a:x"},
	} {
		g := newGateway(t, behind(t, "", c.upstream))
		got := g.since(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, g.URL+"/v2/shared/a/manifests/x", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("alice", "pw")
			if resp, err := http.DefaultTransport.RoundTrip(req); err == nil { // the status is not what this is about
				resp.Body.Close()
			}
		})
		if diff := cmp.Diff([]string{c.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
