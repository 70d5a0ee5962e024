package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// walk follows the pages of a list and returns all entries. Each page has at most
// size of them.
func (g *gateway) walk(t testing.TB, user, url, field string, size int) []string {
	t.Helper()
	all := []string{}
	for url != "" {
		a := g.want(t, http.StatusOK, user, "GET "+url, "")
		var body map[string]any
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Fatal(err)
		}
		entries, ok := body[field].([]any)
		if !ok || len(entries) > size {
			t.Fatalf("%s: %s", url, a.body)
		}
		for _, e := range entries {
			all = append(all, e.(string))
		}
		link := a.header.Get("Link")
		if link != "" && !strings.HasPrefix(link, "</v2/") {
			t.Fatalf("Link is %s", link)
		}
		url, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
		if len(all) > 100 {
			t.Fatal("the list does not end")
		}
	}
	return all
}

// names is an upstream with lists, which it pages as it is told.
type names struct {
	field   string
	entries []string
	whole   bool // it knows no pages
	status  int  // instead of a list; 0 for none
}

func (n names) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n.status != 0 {
		w.WriteHeader(n.status)
		return
	}
	entries, size := n.entries, 2
	if !n.whole {
		i, found := slices.BinarySearch(entries, r.URL.Query().Get("last"))
		if found {
			i++
		}
		entries = entries[i:]
		if len(entries) > size {
			entries = entries[:size]
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?n=%d&last=%s>; rel="next"`, r.Host, r.URL.Path, size, entries[size-1]))
		}
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"name": "shared/app", n.field: entries}); err != nil {
		panic(err)
	}
}

func TestTagListsShowWhatTheCallerMaySee(t *testing.T) {
	t.Parallel()
	tags := []string{"a", "b", "v1", "v2", "v3", "v4", "w", "x", "y"}
	seen := []string{"a", "b", "w", "x", "y"}
	for name, upstream := range map[string]http.Handler{
		"in pages": names{field: "tags", entries: tags}, "as a whole": names{field: "tags", entries: tags, whole: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, behind(t, "", upstream))
			for _, n := range []int{1, 2, 3, 5, 100} {
				got := g.walk(t, "mallory", fmt.Sprintf("/v2/shared/app/tags/list?n=%d", n), "tags", n)
				if diff := cmp.Diff(seen, got); diff != "" {
					t.Errorf("n=%d (-want +got):\n%s", n, diff)
				}
			}
			if diff := cmp.Diff(tags, g.walk(t, "alice", "/v2/shared/app/tags/list?n=2", "tags", len(tags))); diff != "" {
				t.Errorf("alice (-want +got):\n%s", diff)
			}
			if a := g.want(t, http.StatusOK, "mallory", "GET /v2/shared/app/tags/list?n=0", ""); a.body != `{"name":"shared/app","tags":[]}` || a.header.Get("Link") != "" {
				t.Errorf("n=0: %s", a.body)
			}
		})
	}
}

func TestCatalogsOfSeveralUpstreamsAreOne(t *testing.T) {
	t.Parallel()
	field := "repositories"
	g := newGateway(t,
		behind(t, "", names{field: field, entries: []string{"private/a", "shared/a", "shared/b", "shared/own/x", "zoo"}}),
		behind(t, "shared/none", names{status: http.StatusNotFound}),
		behind(t, "shared/own", names{field: field, entries: []string{"other", "shared/own/y", "shared/own/z"}}),
	)
	for user, want := range map[string][]string{
		"mallory": {"shared/a", "shared/b", "shared/own/y", "shared/own/z"},
		"alice":   {"private/a", "shared/a", "shared/b", "shared/own/y", "shared/own/z"},
		"admin":   {"private/a", "shared/a", "shared/b", "zoo", "shared/own/y", "shared/own/z"},
	} {
		for _, n := range []int{1, 2, 3, 100} {
			if diff := cmp.Diff(want, g.walk(t, user, fmt.Sprintf("/v2/_catalog?n=%d", n), field, n)); diff != "" {
				t.Errorf("%s, n=%d (-want +got):\n%s", user, n, diff)
			}
		}
	}
}

func TestTheErrorOfTheOnlyCatalogIsShown(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{404: 404, 405: 405, 401: 502, 500: 500} {
		newGateway(t, behind(t, "", names{status: status})).want(t, want, "admin", "GET /v2/_catalog", "")
	}
}

// A list that goes on in an unknown way is not taken for a whole one.
func TestListsThatCannotBeFollowedAreErrors(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]string{
		"an unknown parameter": `</v2/shared/app/tags/list?token=x>; rel="next"`,
		"standing still":       `</v2/shared/app/tags/list?last=a>; rel=next`,
		"no URL":               `<%zz>; rel=next`,
	} {
		g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", link)
			_, _ = io.WriteString(w, `{"tags":["a"]}`)
		})))
		for _, user := range []string{"alice", "mallory"} {
			if a := g.do(t, user, "GET /v2/shared/app/tags/list?last=a", ""); a.status != http.StatusBadGateway {
				t.Errorf("%s, %s: status %d, %s", name, user, a.status, a.body)
			}
		}
	}
}

// Pages that lead around in a circle are left in the end.
func TestAListWithoutAnEnd(t *testing.T) {
	t.Parallel()
	asked := 0
	g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		last := "a"
		if r.URL.Query().Get("last") == "a" {
			last = "b"
		}
		w.Header().Set("Link", "</v2/_catalog?n=1000&last="+last+`>; rel="next"`)
		_, _ = io.WriteString(w, `{"repositories":["hidden/x"]}`)
	})))
	a := g.want(t, http.StatusBadGateway, "mallory", "GET /v2/_catalog", "")
	if !strings.Contains(a.body, "no end") || asked != 1000 {
		t.Errorf("after %d requests: %s", asked, a.body)
	}
}
