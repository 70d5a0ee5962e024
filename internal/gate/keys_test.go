package gate_test

import (
	"context"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/route"
)

// ring is a source of keys: a token is a name and what the key may, such as
// "owner pull:a". "robot" is one; what is after "ID" was not looked up.
type ring struct{}

func (ring) VerifyToken(_ context.Context, text string) (authn.Token, error) {
	user, may, _ := strings.Cut(text, " ")
	who := access.Identity{User: user, Source: "test"}
	if user == "robot" {
		who.Source = access.RobotSource
	}
	var err error
	if name, found := strings.CutPrefix(user, "ID-"); found {
		who.User, who.With = name, &access.Key{ID: "id"}
	} else {
		who.With, err = access.NewKey("id", "its-key", user == "robot", strings.Fields(may))
	}
	return authn.Token{Who: who}, err
}

// TestWhoMayDoWhatByKey is the table of TestWhoMayDoWhat for those who come with a key.
func TestWhoMayDoWhatByKey(t *testing.T) {
	t.Parallel()
	callers := []who{
		{"admin, all", []string{"Bearer admin"}},
		{"owner, to pull", []string{"Bearer owner pull:a"}},
		{"owner, to push", []string{"Bearer owner push:**"}},
		{"owner, elsewhere", []string{"Bearer owner *:b"}},
		{"reader, everything", []string{"Bearer reader *:** admin"}},
		{"a robot", []string{"Bearer robot pull,push:a"}},
		{"a robot of another", []string{"Bearer robot *:b"}},
		{"a key not looked up", []string{"Bearer ID-admin"}},
	}
	read := []int{200, 200, 404, 404, 200, 200, 404, 404}
	write := []int{200, 403, 200, 404, 403, 200, 404, 404}
	remove := []int{200, 403, 404, 404, 403, 403, 404, 404}
	ping := []int{200, 200, 200, 200, 200, 200, 200, 200}
	catalog := []int{200, 200, 403, 200, 200, 200, 200, 403}
	rows := map[route.Kind]struct {
		line string
		want []int
	}{
		route.Ping:           {"GET /v2/", ping},
		route.Catalog:        {"GET /v2/_catalog", catalog},
		route.BlobRead:       {"GET /v2/a/blobs/" + digest, read},
		route.BlobDelete:     {"DELETE /v2/a/blobs/" + digest, remove},
		route.UploadStart:    {"POST /v2/a/blobs/uploads/", write},
		route.UploadAppend:   {"PATCH /v2/a/blobs/uploads/x", write},
		route.UploadFinish:   {"PUT /v2/a/blobs/uploads/x?digest=" + digest, write},
		route.UploadStatus:   {"GET /v2/a/blobs/uploads/x", write},
		route.UploadCancel:   {"DELETE /v2/a/blobs/uploads/x", write},
		route.ManifestRead:   {"GET /v2/a/manifests/v1", read},
		route.ManifestPut:    {"PUT /v2/a/manifests/v1", write},
		route.ManifestDelete: {"DELETE /v2/a/manifests/v1", remove},
		route.TagList:        {"GET /v2/a/tags/list", read},
		route.Referrers:      {"GET /v2/a/referrers/" + digest, read},
	}
	for kind := range route.Kind(route.Kinds) {
		r, ok := rows[kind]
		if !ok || len(r.want) != len(callers) {
			t.Errorf("%s: this kind of request has no row: who may send it with a key?", kind)
			continue
		}
		for i, w := range callers {
			f := newFixture(house(t))
			f.Tokens = ring{}
			resp := f.do(t, r.line, w.authorization...)
			if passed := len(f.passed) == 1 && f.passed[0].Request.Kind == kind; resp.Code != r.want[i] || passed != (r.want[i] == 200) {
				t.Errorf("%s, %s: status %d, want %d; the handler was called with %v: %s", kind, w.name, resp.Code, r.want[i], f.passed, resp.Body)
			}
		}
	}
}
