package gate_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

const otherDigest = oci.Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

// told is a record in short.
func told(r audit.Record) string {
	d := "-"
	switch r.Digest {
	case digest:
		d = "named"
	case otherDigest:
		d = "other"
	}
	text := fmt.Sprintf("%s %s %s %s:%s %s", r.Outcome, r.Operation, r.Scope.Action, r.Scope.Repo, r.Scope.Tag, d)
	if r.From != "" {
		text += " from " + r.From
	}
	if r.Status != 0 {
		text += strings.TrimRight(fmt.Sprintf(" %d %s", r.Status, r.Code), " ")
	}
	return text
}

func (f *fixture) told() []string {
	list := []string{}
	for _, r := range f.records {
		list = append(list, told(r))
	}
	return list
}

// TestEveryKindIsRecordedOnce is the table of what a request leaves in the audit
// whose handler says that it did what was asked, fails, or says nothing. A new kind
// fails it until it has a row.
func TestEveryKindIsRecordedOnce(t *testing.T) {
	t.Parallel()
	type row struct {
		line              string
		did, failed, mute []string
	}
	reads := func(line, want string) row { return row{line, []string{want}, []string{want}, []string{want}} }
	rows := map[route.Kind]row{
		route.Ping:         {"GET /v2/", []string{}, []string{}, []string{}},
		route.Catalog:      reads("GET /v2/_catalog", "allowed catalog list : -"),
		route.BlobRead:     reads("GET /v2/a/blobs/"+digest, "allowed blob-read pull a: named"),
		route.ManifestRead: reads("GET /v2/a/manifests/v1", "allowed manifest-read pull a:v1 -"),
		route.TagList:      reads("GET /v2/a/tags/list", "allowed tag-list list a: -"),
		route.Referrers:    reads("GET /v2/a/referrers/"+digest, "allowed referrers pull a: named"),
		// What comes closer to a push, and is none.
		route.UploadAppend: reads("PATCH /v2/a/blobs/uploads/x", "allowed upload-append push a: -"),
		route.UploadStatus: reads("GET /v2/a/blobs/uploads/x", "allowed upload-status push a: -"),
		route.UploadCancel: reads("DELETE /v2/a/blobs/uploads/x", "allowed upload-cancel push a: -"),
		route.UploadStart: {
			"POST /v2/a/blobs/uploads/?digest=" + digest,
			[]string{"done upload-start push a: other"},
			[]string{"failed upload-start push a: named 404 BLOB_UNKNOWN"},
			[]string{}, // an upload has begun
		},
		route.UploadFinish: {
			"PUT /v2/a/blobs/uploads/x?digest=" + digest,
			[]string{"done upload-finish push a: other"},
			[]string{"failed upload-finish push a: named 404 BLOB_UNKNOWN"},
			[]string{"unknown upload-finish push a: named 500 UNKNOWN"},
		},
		route.ManifestPut: {
			"PUT /v2/a/manifests/" + digest + "?tag=x&tag=y",
			[]string{"done manifest-put push a:x other", "done manifest-put push a:y other"},
			[]string{"failed manifest-put push a:x named 404 BLOB_UNKNOWN", "failed manifest-put push a:y named 404 BLOB_UNKNOWN"},
			[]string{"unknown manifest-put push a:x named 500 UNKNOWN", "unknown manifest-put push a:y named 500 UNKNOWN"},
		},
		route.ManifestDelete: {
			"DELETE /v2/a/manifests/v1",
			[]string{"done manifest-delete delete a:v1 other"},
			[]string{"failed manifest-delete delete a:v1 - 404 BLOB_UNKNOWN"},
			[]string{"unknown manifest-delete delete a:v1 - 500 UNKNOWN"},
		},
		route.BlobDelete: {
			"DELETE /v2/a/blobs/" + digest,
			[]string{"done blob-delete delete a: other"},
			[]string{"failed blob-delete delete a: named 404 BLOB_UNKNOWN"},
			[]string{"unknown blob-delete delete a: named 500 UNKNOWN"},
		},
	}
	for kind := range route.Kind(route.Kinds) {
		row, ok := rows[kind]
		if !ok {
			t.Errorf("%s has no row", kind)
			continue
		}
		for name, c := range map[string]struct {
			did  func(*gate.Call)
			err  error
			want []string
		}{
			"did":                  {did: func(c *gate.Call) { c.Did(otherDigest) }, want: row.did},
			"did, then an error":   {did: func(c *gate.Call) { c.Did(otherDigest) }, err: errors.New("broken off"), want: row.did},
			"did twice":            {did: func(c *gate.Call) { c.Did(otherDigest); c.Did(""); c.DidNot(400) }, want: row.did},
			"failed":               {err: oci.ErrBlobUnknown, want: row.failed},
			"neither did nor said": {want: row.mute},
		} {
			f := newFixture(access.SignedIn())
			f.handle, f.err = c.did, c.err
			f.do(t, row.line, alice.authorization...)
			if diff := cmp.Diff(c.want, f.told()); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", kind, name, diff)
			}
		}
	}
}

// What is asked for on the way is part of the one record, or has one of its own.
func TestEffectsOnTheWay(t *testing.T) {
	t.Parallel()
	rules := access.Rules{Rules: []access.Rule{
		{Who: []string{"user:alice"}, May: []string{"*"}, Repos: []string{"a", "b"}},
		{Who: []string{"user:alice"}, Deny: []string{"overwrite", "delete"}, Repos: []string{"a"}, Tags: []string{"v*"}},
	}}
	policy, mistakes := access.Compile(rules)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	put, remove := "PUT /v2/a/manifests/"+digest+"?tag=x&tag=v1", "DELETE /v2/a/manifests/"+digest
	mount := "POST /v2/a/blobs/uploads/?mount=" + digest
	ask := func(c *gate.Call, action access.Action, repo, tag string) error {
		return c.Can(access.Scope{Action: action, Repo: repo, Tag: tag})
	}
	for name, c := range map[string]struct {
		line   string
		handle func(*gate.Call)
		err    error
		want   []string
	}{
		"a tag is moved, another made": {
			put, func(c *gate.Call) { _ = ask(c, access.Overwrite, "a", "x"); c.Did("") }, nil,
			[]string{"done manifest-put overwrite a:x named", "done manifest-put push a:v1 named"},
		},
		"asked twice": {
			put, func(c *gate.Call) {
				_, _ = ask(c, access.Overwrite, "a", "x"), ask(c, access.Overwrite, "a", "x")
				c.Did("")
			}, nil,
			[]string{"done manifest-put overwrite a:x named", "done manifest-put push a:v1 named"},
		},
		"a tag may not be moved: nothing has happened, which the denial says": {
			put, func(c *gate.Call) { _ = ask(c, access.Overwrite, "a", "v1") }, oci.Errorf(oci.Denied, "no"),
			[]string{"denied manifest-put overwrite a:v1 named"},
		},
		"tags go too": {
			remove, func(c *gate.Call) {
				_, _ = ask(c, access.Delete, "a", "x"), ask(c, access.Delete, "a", "y")
				c.Did("")
			}, nil,
			[]string{"done manifest-delete delete a: named", "done manifest-delete delete a:x named", "done manifest-delete delete a:y named"},
		},
		"a tag may not go": {
			remove, func(c *gate.Call) { _, _ = ask(c, access.Delete, "a", "x"), ask(c, access.Delete, "a", "v1") }, oci.Errorf(oci.Denied, "no"),
			[]string{"denied manifest-delete delete a:v1 named"},
		},
		"mounted": {
			mount + "&from=b", func(c *gate.Call) { _ = ask(c, access.Pull, "b", ""); c.Did("") }, nil,
			[]string{"done upload-start push a: named from b"},
		},
		"not to be read, so an upload begins": {
			mount + "&from=c", func(c *gate.Call) { _ = ask(c, access.Pull, "c", "") }, nil,
			[]string{"denied upload-start pull c: named"},
		},
		"one source may not be read, another is mounted": {
			mount, func(c *gate.Call) {
				_, _ = ask(c, access.Pull, "c", ""), ask(c, access.Pull, "b", "")
				c.Did("")
			}, nil,
			[]string{"denied upload-start pull c: named", "done upload-start push a: named from b"},
		},
		"tried only": {
			put, func(c *gate.Call) { _ = c.Try(access.Scope{Action: access.Overwrite, Repo: "a", Tag: "v1"}); c.Did("") }, nil,
			[]string{"done manifest-put push a:x named", "done manifest-put push a:v1 named"},
		},
		"refused elsewhere": {
			remove, func(c *gate.Call) { c.DidNot(http.StatusMethodNotAllowed) }, nil,
			[]string{"failed manifest-delete delete a: named 405"},
		},
		"elsewhere something went wrong": {
			remove, func(c *gate.Call) { c.DidNot(http.StatusBadGateway) }, nil,
			[]string{"unknown manifest-delete delete a: named 502"},
		},
		"no answer from elsewhere": {
			remove, nil, oci.Errorf(oci.GatewayTimeout, "too slow"),
			[]string{"unknown manifest-delete delete a: named 504 UNAVAILABLE"},
		},
		"an error that nobody knows": {
			remove, nil, errors.New("disk on fire"),
			[]string{"unknown manifest-delete delete a: named 500 UNKNOWN"},
		},
		"no space": {
			remove, nil, oci.Errorf(oci.NoSpace, "full"),
			[]string{"failed manifest-delete delete a: named 507 UNAVAILABLE"},
		},
	} {
		f := newFixture(policy)
		f.handle, f.err = c.handle, c.err
		f.do(t, c.line, alice.authorization...)
		if diff := cmp.Diff(c.want, f.told()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A handler that panics may have done anything.
func TestPanicIsOnRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	f.handle = func(*gate.Call) { panic(http.ErrAbortHandler) }
	func() {
		defer func() { _ = recover() }()
		f.do(t, "DELETE /v2/a/manifests/v1", alice.authorization...)
	}()
	if diff := cmp.Diff([]string{"unknown manifest-delete delete a:v1 - 500 UNKNOWN"}, f.told()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// All that is known stands in the record of what was done.
func TestRecordOfAnEffect(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	f.handle = func(c *gate.Call) {
		c.Did(otherDigest)
		if len(f.records) != 1 {
			t.Error("the client could have its answer before there is a record")
		}
	}
	f.do(t, "PUT /v2/a/manifests/v1", alice.authorization...)
	want := []audit.Record{{
		RequestID: "REQUEST-ID", Client: f.client.Addr, Who: access.Identity{User: "alice", Source: "test"},
		Scope: access.Scope{Action: access.Push, Repo: "a", Tag: "v1"}, Digest: otherDigest,
		Operation: "manifest-put", Outcome: audit.Done, Rule: "signed-in users may do everything",
	}}
	if diff := cmp.Diff(want, f.records, cmpopts.EquateComparable(f.client.Addr)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
