package distapi_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/registry"
)

var nextLink = regexp.MustCompile(`^<(/v2/[^>]*)>; rel="next"$`)

// pages follows a list to its end and returns what field has on each page.
func (s *server) pages(t *testing.T, url string, entries func(body string) []string) [][]string {
	t.Helper()
	var all [][]string
	for range 100 {
		a := call{do: "GET " + url, status: 200}.run(t, s)
		all = append(all, entries(a.body))
		link := a.header.Get("Link")
		if link == "" {
			return all
		}
		m := nextLink.FindStringSubmatch(link)
		if m == nil {
			t.Fatalf("Link of %s is %q", url, link)
		}
		url = m[1]
	}
	t.Fatalf("no end of %s", url)
	return nil
}

func tagsIn(body string) []string {
	var list struct{ Tags []string }
	_ = json.Unmarshal([]byte(body), &list)
	return list.Tags
}

func reposIn(body string) []string {
	var list struct{ Repositories []string }
	_ = json.Unmarshal([]byte(body), &list)
	return list.Repositories
}

func TestTagList(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a/b", "{}")
	s.pushBlob(t, "blobs-only", "{}")
	for _, tag := range []string{"v2", "v1", "V1", "latest", "_x", "v1.0", "1"} {
		s.pushManifest(t, "a/b", tag, image())
	}
	list := func(name, query, text, link string) call {
		return call{name: name, do: "GET /v2/a/b/tags/list" + query, status: 200, text: text, want: []string{
			"Content-Type: application/json; charset=utf-8", "Link: " + link,
		}}
	}
	const all = `{"name":"a/b","tags":["1","V1","_x","latest","v1","v1.0","v2"]}`
	runAll(t, s, []call{
		list("all, in byte order", "", all, ""),
		{name: "head", do: "HEAD /v2/a/b/tags/list", status: 200, want: []string{fmt.Sprintf("Content-Length: %d", len(all))}},
		list("exactly all", "?n=7", all, ""),
		list("more than there are", "?n=8", all, ""),
		list("a number that is huge", "?n=99999999999999999999999", all, ""),
		list("the first two", "?n=2", `{"name":"a/b","tags":["1","V1"]}`, `</v2/a/b/tags/list?last=V1&n=2>; rel="next"`),
		list("the next two", "?n=2&last=V1", `{"name":"a/b","tags":["_x","latest"]}`, `</v2/a/b/tags/list?last=latest&n=2>; rel="next"`),
		list("behind a tag that is not there", "?n=1&last=m", `{"name":"a/b","tags":["v1"]}`, `</v2/a/b/tags/list?last=v1&n=1>; rel="next"`),
		list("the last two", "?n=2&last=v1", `{"name":"a/b","tags":["v1.0","v2"]}`, ""),
		list("behind the last", "?last=v2", `{"name":"a/b","tags":[]}`, ""),
		list("behind the last, with a number", "?last=zzz&n=5", `{"name":"a/b","tags":[]}`, ""),
		list("none", "?n=0", `{"name":"a/b","tags":[]}`, ""),
		list("none, behind a tag", "?n=0&last=V1", `{"name":"a/b","tags":[]}`, ""),
		list("empty parameters", "?n=&last=", all, ""),
		list("parameters of others", "?x=1&y", all, ""),
		list("last as long as may be", "?last="+strings.Repeat("v", 255), `{"name":"a/b","tags":[]}`, ""),
		{name: "repository without manifests", do: "GET /v2/blobs-only/tags/list", status: 200, text: `{"name":"blobs-only","tags":[]}`},
		{name: "unknown repository", do: "GET /v2/nowhere/tags/list", status: 404, code: "NAME_UNKNOWN"},
	})
	want := [][]string{{"1", "V1", "_x"}, {"latest", "v1", "v1.0"}, {"v2"}}
	if diff := cmp.Diff(want, s.pages(t, "/v2/a/b/tags/list?n=3", tagsIn)); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	call{name: "of nothing", do: "GET /v2/_catalog", status: 200, text: `{"repositories":[]}`, want: []string{"Link:"}}.run(t, s)
	for _, repo := range []string{"b", "a/b", "a", "a-b", "c/d/e"} {
		s.pushImage(t, repo, "v1")
	}
	s.pushBlob(t, "blobs-only", "{}")
	list := func(name, query, text, link string) call {
		return call{name: name, do: "GET /v2/_catalog" + query, status: 200, text: text, want: []string{
			"Content-Type: application/json; charset=utf-8", "Link: " + link,
		}}
	}
	const all = `{"repositories":["a","a-b","a/b","b","c/d/e"]}`
	runAll(t, s, []call{
		list("all, in byte order", "", all, ""),
		{name: "head", do: "HEAD /v2/_catalog", status: 200, want: []string{fmt.Sprintf("Content-Length: %d", len(all))}},
		list("exactly all", "?n=5", all, ""),
		list("a number that is huge", "?n=18446744073709551617", all, ""),
		list("the first three", "?n=3", `{"repositories":["a","a-b","a/b"]}`, `</v2/_catalog?last=a%2Fb&n=3>; rel="next"`),
		list("the rest", "?n=3&last=a%2Fb", `{"repositories":["b","c/d/e"]}`, ""),
		list("behind the last", "?last=z", `{"repositories":[]}`, ""),
		list("none", "?n=0", `{"repositories":[]}`, ""),
	})
	want := [][]string{{"a", "a-b"}, {"a/b", "b"}, {"c/d/e"}}
	if diff := cmp.Diff(want, s.pages(t, "/v2/_catalog?n=2", reposIn)); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestPageParameters(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushImage(t, "a", "v1")
	for _, url := range []string{"/v2/a/tags/list", "/v2/_catalog", "/v2/a/referrers/" + sha256("x")} {
		for _, query := range []string{
			"n=-1", "n=abc", "n=1.5", "n=1e3", "n=+1", "n=0x10", "n=%201", "n=1&n=2", "n=%D9%A1",
			"last=" + strings.Repeat("v", 256), "last=a&last=b", "last=%00", "last=a%ff", "last=a%zz", "n=1;last=2", "%",
		} {
			call{do: "GET " + url + "?" + query, status: 400, code: "PAGINATION_NUMBER_INVALID", want: []string{"Link:"}}.run(t, s)
		}
	}
}
