package route_test

import (
	"errors"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

var (
	sha256A = oci.Digest("sha256:" + strings.Repeat("aa", 32))
	sha512A = oci.Digest("sha512:" + strings.Repeat("aa", 64))
)

// requests has at least one line for every kind; TestEveryKindIsParsed says so.
var requests = map[string]struct {
	request string
	want    route.Request
	scopes  []access.Scope
}{
	"ping":               {"GET /v2/", route.Request{Kind: route.Ping}, nil},
	"ping without slash": {"HEAD /v2", route.Request{Kind: route.Ping, Head: true}, nil},
	"catalog":            {"GET /v2/_catalog?n=5&last=a", route.Request{Kind: route.Catalog, Page: route.Page{N: 5, Last: "a"}}, scopes("list", "", "")},
	"blob":               {"GET /v2/a/b/blobs/" + string(sha256A), route.Request{Kind: route.BlobRead, Repo: "a/b", Digest: sha256A}, scopes("pull", "a/b", "")},
	"blob, encoded colon": {
		"HEAD /v2/a/blobs/" + strings.Replace(string(sha512A), ":", "%3A", 1),
		route.Request{Kind: route.BlobRead, Head: true, Repo: "a", Digest: sha512A},
		scopes("pull", "a", ""),
	},
	"blob delete":  {"DELETE /v2/a/blobs/" + string(sha256A), route.Request{Kind: route.BlobDelete, Repo: "a", Digest: sha256A}, scopes("delete", "a", "")},
	"upload start": {"POST /v2/a/blobs/uploads/", route.Request{Kind: route.UploadStart, Repo: "a"}, scopes("push", "a", "")},
	"upload start without slash, with algorithm": {
		"POST /v2/a/blobs/uploads?digest-algorithm=sha512",
		route.Request{Kind: route.UploadStart, Repo: "a", Algorithm: oci.SHA512},
		scopes("push", "a", ""),
	},
	"upload in one request": {
		"POST /v2/a/blobs/uploads/?digest=" + string(sha256A),
		route.Request{Kind: route.UploadStart, Repo: "a", Digest: sha256A},
		scopes("push", "a", ""),
	},
	"mount": {
		"POST /v2/a/blobs/uploads/?mount=" + string(sha256A) + "&from=x/y",
		route.Request{Kind: route.UploadStart, Repo: "a", Mount: sha256A, From: "x/y"},
		scopes("push", "a", ""),
	},
	"upload append": {"PATCH /v2/a/blobs/uploads/X1?_state=x", route.Request{Kind: route.UploadAppend, Repo: "a", UploadID: "X1"}, scopes("push", "a", "")},
	"upload finish": {
		"PUT /v2/a/blobs/uploads/X1?digest=" + string(sha256A),
		route.Request{Kind: route.UploadFinish, Repo: "a", UploadID: "X1", Digest: sha256A},
		scopes("push", "a", ""),
	},
	"upload status": {"GET /v2/a/blobs/uploads/X1", route.Request{Kind: route.UploadStatus, Repo: "a", UploadID: "X1"}, scopes("push", "a", "")},
	"upload cancel": {"DELETE /v2/a/blobs/uploads/X1", route.Request{Kind: route.UploadCancel, Repo: "a", UploadID: "X1"}, scopes("push", "a", "")},
	"manifest by tag": {
		"GET /v2/a/manifests/v1",
		route.Request{Kind: route.ManifestRead, Repo: "a", Reference: oci.Reference{Tag: "v1"}},
		scopes("pull", "a", "v1"),
	},
	"manifest put with tags": {
		"PUT /v2/a/manifests/" + string(sha256A) + "?tag=x&tag=y&tag=x",
		route.Request{Kind: route.ManifestPut, Repo: "a", Reference: oci.Reference{Digest: sha256A}, Tags: []string{"x", "y"}},
		append(scopes("push", "a", "x"), scopes("push", "a", "y")...),
	},
	"manifest put by tag": {
		"PUT /v2/a/manifests/v1",
		route.Request{Kind: route.ManifestPut, Repo: "a", Reference: oci.Reference{Tag: "v1"}},
		scopes("push", "a", "v1"),
	},
	"manifest delete": {
		"DELETE /v2/a/manifests/v1",
		route.Request{Kind: route.ManifestDelete, Repo: "a", Reference: oci.Reference{Tag: "v1"}},
		scopes("delete", "a", "v1"),
	},
	"tags":         {"GET /v2/a/tags/list?n=0", route.Request{Kind: route.TagList, Repo: "a", Page: route.Page{N: 0}}, scopes("list", "a", "")},
	"tags, huge n": {"GET /v2/a/tags/list?n=" + strings.Repeat("9", 40), route.Request{Kind: route.TagList, Repo: "a", Page: route.Page{N: math.MaxInt}}, scopes("list", "a", "")},
	"referrers": {
		"GET /v2/a/referrers/" + string(sha256A) + "?artifactType=a%2Fb%2Bjson",
		route.Request{Kind: route.Referrers, Repo: "a", Digest: sha256A, ArtifactType: "a/b+json", Page: route.Page{N: -1}},
		scopes("pull", "a", ""),
	},
	"a repository named like an endpoint": {
		"GET /v2/blobs/uploads/manifests/tags/manifests/list",
		route.Request{Kind: route.ManifestRead, Repo: "blobs/uploads/manifests/tags", Reference: oci.Reference{Tag: "list"}},
		scopes("pull", "blobs/uploads/manifests/tags", "list"),
	},
}

func scopes(action, repo, tag string) []access.Scope {
	return []access.Scope{{Action: access.Action(action), Repo: repo, Tag: tag}}
}

func parse(t testing.TB, request string) (*route.Request, error) {
	t.Helper()
	method, uri, _ := strings.Cut(request, " ")
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	return route.Parse(method, u)
}

// normal makes "no page given" comparable where a kind has no pages.
func normal(r route.Request) route.Request {
	switch r.Kind {
	case route.TagList, route.Catalog, route.Referrers:
	default:
		r.Page = route.Page{}
	}
	return r
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(t, c.request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, normal(*got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.scopes, got.Scopes()); diff != "" {
				t.Error(diff)
			}
			again, err := parse(t, got.Method()+" "+got.URL())
			if err != nil {
				t.Fatalf("%s is not parsed back: %v", got.URL(), err)
			}
			if diff := cmp.Diff(normal(*got), normal(*again)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryKindIsParsed(t *testing.T) {
	t.Parallel()
	seen := map[route.Kind]bool{}
	for _, c := range requests {
		seen[c.want.Kind] = true
	}
	for k := range route.Kind(route.Kinds) {
		if !seen[k] {
			t.Errorf("no request of kind %s in the table", k)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for request, kind := range map[string]oci.Kind{
		"GET /":                                 oci.NotFound,
		"GET /v2/a":                             oci.NotFound,
		"GET /v2/a/b/c":                         oci.NotFound,
		"GET /v2//blobs/" + string(sha256A):     oci.NameInvalid,
		"GET /v2/a//b/blobs/" + string(sha256A): oci.NameInvalid,
		"GET /v2/../a/tags/list":                oci.NameInvalid,
		"GET /v2/a/../b/manifests/x":            oci.NameInvalid,
		"GET /v2/%2e%2e/a/tags/list":            oci.NameInvalid,
		"GET /v2/a%2fb/tags/list":               oci.NameInvalid,
		"GET /v2/a%00/tags/list":                oci.NameInvalid,
		"GET /v2/a%5cb/tags/list":               oci.NameInvalid,
		"GET /v2/a%253Ab/tags/list":             oci.NameInvalid,
		"GET /v2/A/tags/list":                   oci.NameInvalid,
		"GET /v2/a/tags/list/":                  oci.NotFound,
		"GET /v2/a/manifests/":                  oci.TagInvalid,
		"GET /v2/a/manifests/.x":                oci.TagInvalid,
		"GET /v2/a/manifests/md5:00":            oci.DigestInvalid,
		"GET /v2/a/blobs/latest":                oci.DigestInvalid,
		"GET /v2/a/blobs/sha256:00":             oci.DigestInvalid,
		"GET /v2/a/referrers/latest":            oci.DigestInvalid,
		"PUT /v2/a/blobs/uploads/X1":            oci.DigestInvalid,
		"PUT /v2/a/blobs/uploads/X1?digest=x":   oci.DigestInvalid,
		"POST /v2/a/blobs/uploads/?mount=x":     oci.DigestInvalid,
		"POST /v2/a/blobs/uploads/?mount=" + string(sha256A) + "&from=../b":                    oci.NameInvalid,
		"POST /v2/a/blobs/uploads/?digest-algorithm=md5":                                       oci.DigestInvalid,
		"PATCH /v2/a/blobs/uploads/..":                                                         oci.BlobUploadUnknown,
		"PATCH /v2/a/blobs/uploads/" + strings.Repeat("x", 2001):                               oci.BlobUploadUnknown,
		"GET /v2/a/tags/list?n=-1":                                                             oci.PageInvalid,
		"GET /v2/a/tags/list?n=1&n=2":                                                          oci.PageInvalid,
		"GET /v2/a/tags/list?n=x":                                                              oci.PageInvalid,
		"GET /v2/a/tags/list?last=" + strings.Repeat("x", 256):                                 oci.PageInvalid,
		"GET /v2/a/tags/list?n=%zz":                                                            oci.PageInvalid,
		"GET /v2/a/referrers/" + string(sha256A) + "?artifactType=" + strings.Repeat("x", 256): oci.PageInvalid,
		"PUT /v2/a/manifests/v1?tag=x":                                                         oci.TagInvalid,
		"PUT /v2/a/manifests/" + string(sha256A) + "?tag=.x":                                   oci.TagInvalid,
		"PUT /v2/a/manifests/" + string(sha256A) + "?tag=x" + strings.Repeat("&tag=x", 100):    oci.TagInvalid,
		"POST /v2/":                          oci.Unsupported,
		"PATCH /v2/a/manifests/v1":           oci.Unsupported,
		"PUT /v2/a/blobs/" + string(sha256A): oci.Unsupported,
		"GET /v2/a/blobs/uploads/":           oci.Unsupported,
		"DELETE /v2/a/tags/list":             oci.Unsupported,
		"BREW /v2/_catalog":                  oci.Unsupported,
	} {
		got, err := parse(t, request)
		if !errors.Is(err, &oci.Error{Kind: kind}) {
			t.Errorf("%s: got %+v, %v; want kind %d", request, got, err, kind)
		}
	}
}

func TestMethodErrorNamesTheMethods(t *testing.T) {
	t.Parallel()
	_, err := parse(t, "POST /v2/a/manifests/v1")
	var m *route.MethodError
	if !errors.As(err, &m) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"DELETE", "GET", "HEAD", "PUT"}, m.Allow); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range requests {
		method, uri, _ := strings.Cut(c.request, " ")
		f.Add(method, uri)
	}
	f.Add("GET", "/v2/a/%2e%2e/b/tags/list")
	f.Add("PUT", "/v2/a/manifests/v1?tag=%zz")
	f.Fuzz(func(t *testing.T, method, uri string) {
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			return
		}
		r, err := route.Parse(method, u)
		if err != nil {
			if known := (*oci.Error)(nil); !errors.As(err, &known) || known.Kind == oci.Internal {
				t.Errorf("%s %s: an error that clients cannot be told: %v", method, uri, err)
			}
			return
		}
		if r.Method() != method {
			t.Errorf("%s %s is formatted as %s", method, uri, r.Method())
		}
		again, err := parse(t, r.Method()+" "+r.URL())
		if err != nil {
			t.Fatalf("%s %s is formatted as %s, which is refused: %v", method, uri, r.URL(), err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("%s %s is formatted as %s:\n%s", method, uri, r.URL(), diff)
		}
		if len(r.Scopes()) == 0 && r.Kind != route.Ping {
			t.Errorf("%s %s needs no rights", method, uri)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	u, err := url.ParseRequestURI("/v2/team/app/manifests/latest")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := route.Parse("GET", u); err != nil {
			b.Fatal(err)
		}
	}
}
