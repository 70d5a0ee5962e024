package distapi_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/middleware"
	"github.com/moorgate/moorgate/internal/registry"
)

// trail takes records, in short.
type trail struct {
	mu      sync.Mutex
	records []string
}

func (a *trail) take(_ context.Context, r audit.Record) {
	if r.Outcome == audit.Allowed {
		return
	}
	text := fmt.Sprintf("%s %s %s %s:%s %s", r.Outcome, r.Operation, r.Scope.Action, r.Scope.Repo, r.Scope.Tag, r.Digest)
	if r.From != "" {
		text += " from " + r.From
	}
	if r.Status != 0 {
		text += fmt.Sprintf(" %d %s", r.Status, r.Code)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = append(a.records, strings.TrimSpace(text))
}

// since returns what was recorded during do.
func (a *trail) since(do func()) []string {
	a.mu.Lock()
	a.records = []string{}
	a.mu.Unlock()
	do()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.records
}

// TestWhatChangesIsRecorded is the table of the records that each request leaves
// that changes something, or fails to.
func TestWhatChangesIsRecorded(t *testing.T) {
	t.Parallel()
	a := &trail{}
	s := &server{dir: t.TempDir()}
	h := s.open(t, registry.Options{})
	h.Login.Passwords, h.Policy, h.Audit = people{"alice": "wonderland"}, access.SignedIn, a.take
	s.Server = httptest.NewServer(middleware.Chain(h,
		middleware.RequestID(), middleware.Client(nil), middleware.Idle(20*time.Second), middleware.Recover(h.Log)))
	t.Cleanup(s.Close)
	s.pushBlob(t, "a", "{}")
	m, other := image(), index()
	dm, do, layer := sha256(m), sha256(other), sha256("layer")
	session := func() string { return s.start(t, "a") }
	put := func(ref, body string, status int, code string) func() {
		return func() {
			call{do: "PUT /v2/a/manifests/" + ref, body: body, status: status, code: code}.run(t, s)
		}
	}
	plain := func(do string, status int, code, body string) func() {
		return func() { call{do: do, status: status, code: code, body: body}.run(t, s) }
	}
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"a blob in one piece", plain("POST /v2/a/blobs/uploads/?digest="+layer, 201, "", "layer"), []string{"done upload-start push a: " + layer}},
		{"with another digest", plain("POST /v2/a/blobs/uploads/?digest="+layer, 400, "DIGEST_INVALID", "other"), []string{"failed upload-start push a: " + layer + " 400 DIGEST_INVALID"}},
		{"a session begins, is looked at and ends", func() {
			at := session()
			plain("GET "+at, 204, "", "")()
			chunk(at, "la", "0-1").run(t, s)
			plain("DELETE "+at, 204, "", "")()
		}, []string{}},
		{"a session that is finished", func() {
			at := session()
			chunk(at, "la", "0-1").run(t, s)
			finish(at, "layer", "yer").run(t, s)
		}, []string{"done upload-finish push a: " + layer}},
		{"one with another digest", func() {
			plain("PUT "+session()+"?digest="+layer, 400, "DIGEST_INVALID", "other")()
		}, []string{"failed upload-finish push a: " + layer + " 400 DIGEST_INVALID"}},
		{"mounted", plain("POST /v2/b/blobs/uploads/?from=a&mount="+layer, 201, "", ""), []string{"done upload-start push b: " + layer + " from a"}},
		{"mounted from wherever it is", plain("POST /v2/c/blobs/uploads/?mount="+layer, 201, "", ""), []string{"done upload-start push c: " + layer + " from a"}},
		{"not mounted", plain("POST /v2/b/blobs/uploads/?from=a&mount="+sha256("unknown"), 202, "", ""), []string{}},
		{"a tag is made", put("v1", m, 201, ""), []string{"done manifest-put push a:v1 " + dm}},
		{"made again", put("v1", m, 201, ""), []string{"done manifest-put push a:v1 " + dm}},
		{"moved", put("v1", other, 201, ""), []string{"done manifest-put overwrite a:v1 " + do}},
		{"by digest", put(dm, m, 201, ""), []string{"done manifest-put push a: " + dm}},
		{"by digest with tags, of which one moves", put(dm+"?tag=v1&tag=v2", m, 201, ""), []string{"done manifest-put overwrite a:v1 " + dm, "done manifest-put push a:v2 " + dm}},
		{"no manifest", put("v3", "{", 400, "MANIFEST_INVALID"), []string{"failed manifest-put push a:v3  400 MANIFEST_INVALID"}},
		{"a tag goes", plain("DELETE /v2/a/manifests/v2", 202, "", ""), []string{"done manifest-delete delete a:v2 " + dm}},
		{"one that is not there", plain("DELETE /v2/a/manifests/v2", 404, "MANIFEST_UNKNOWN", ""), []string{"failed manifest-delete delete a:v2  404 MANIFEST_UNKNOWN"}},
		{"a manifest goes, and its tag", plain("DELETE /v2/a/manifests/"+dm, 202, "", ""), []string{"done manifest-delete delete a: " + dm, "done manifest-delete delete a:v1 " + dm}},
		{"a blob goes", plain("DELETE /v2/a/blobs/"+layer, 202, "", ""), []string{"done blob-delete delete a: " + layer}},
		{"again", plain("DELETE /v2/a/blobs/"+layer, 404, "BLOB_UNKNOWN", ""), []string{"failed blob-delete delete a: " + layer + " 404 BLOB_UNKNOWN"}},
		{"reading", plain("GET /v2/a/manifests/v1", 404, "MANIFEST_UNKNOWN", ""), []string{}},
	} {
		if diff := cmp.Diff(step.want, a.since(step.do)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}
