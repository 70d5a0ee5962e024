package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/route"
)

func FuzzHeaders(f *testing.F) {
	for _, h := range []string{"X-Forwarded-For", "x_forwarded_for", "X-Real-IP", "Connection", "Forwarded", "X-Original-URL", "Proxy", "ProXY0", "X-Forwardedx", "X\u017f-a", "Accept"} {
		f.Add(h, "Authorization, X-Real-Ip, X-Forwarded-For", "evil")
	}
	f.Fuzz(func(t *testing.T, name, connection, value string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://registry/", http.NoBody)
		r = r.WithContext(reqctx.WithClient(r.Context(), reqctx.Client{Addr: netip.MustParseAddr("192.0.2.1"), TLS: true}))
		r.Header[name] = []string{value}
		r.Header.Add("Connection", connection)
		got := upstreamHeader(r)
		for header, want := range map[string]string{
			"X-Real-Ip": "192.0.2.1", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "registry",
		} {
			if diff := cmp.Diff([]string{want}, got[header]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", header, diff)
			}
		}
		for header := range got {
			// What a CGI-like server would take it for.
			alias := textproto.CanonicalMIMEHeaderKey(strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(header))
			switch {
			case alias != textproto.CanonicalMIMEHeaderKey(header):
				t.Errorf("%q looks like %q", header, alias)
			case (alias == "X-Forwarded" || strings.HasPrefix(alias, "X-Forwarded-")) && !strings.Contains(" X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host ", " "+alias+" "),
				alias == "Forwarded", alias == "Connection", alias == "Cookie", alias == "Content-Length",
				alias == "Proxy", strings.HasPrefix(alias, "Proxy-"), strings.HasPrefix(alias, "X-Original-"), strings.HasPrefix(alias, "X-Rewrite-"):
				t.Errorf("%q gets through", header)
			}
			if alias == "X-Real-Ip" && header != "X-Real-Ip" {
				t.Errorf("%q gets through beside ours", header)
			}
		}
	})
}

func TestLinksToTheNextPage(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]string{
		`</v2/a/tags/list?n=1&last=x>; rel="next"`:                   "/v2/a/tags/list?n=1&last=x",
		`<https://h/p?last=x>;rel=next`:                              "https://h/p?last=x",
		`</first>; rel="first", </second>; title="a"; REL="next"`:    "/second",
		`</first>; rel="first",</second>; rel=next, </third>; rel=x`: "/second",
		`</prev>; rel="prev"`:                                        "",
		`</open`:                                                     "",
		`nothing`:                                                    "",
		``:                                                           "",
	} {
		if got := nextLink(http.Header{"Link": {link}}); got != want {
			t.Errorf("nextLink(%s) is %q, want %q", link, got, want)
		}
	}
	if got := nextLink(http.Header{"Link": {`</a>; rel=prev`, `</b>; rel=next`}}); got != "/b" {
		t.Errorf("nextLink of two headers is %q", got)
	}
}

func TestEveryKindHasItsGrants(t *testing.T) {
	t.Parallel()
	want := [route.Kinds]string{
		route.Ping:           "",
		route.BlobRead:       "repository:r:pull",
		route.BlobDelete:     "repository:r:pull,delete",
		route.UploadStart:    "repository:r:pull,push repository:f:pull",
		route.UploadAppend:   "repository:r:pull,push",
		route.UploadFinish:   "repository:r:pull,push",
		route.UploadStatus:   "repository:r:pull,push",
		route.UploadCancel:   "repository:r:pull,push,delete",
		route.ManifestRead:   "repository:r:pull",
		route.ManifestPut:    "repository:r:pull,push",
		route.ManifestDelete: "repository:r:pull,delete",
		route.TagList:        "repository:r:pull",
		route.Referrers:      "repository:r:pull",
		route.Catalog:        "registry:catalog:*",
	}
	for kind, text := range want {
		got := []string{}
		for _, g := range grantsFor(&route.Request{Kind: route.Kind(kind), Repo: "r", From: "f"}) {
			got = append(got, g.String())
		}
		if strings.Join(got, " ") != text {
			t.Errorf("%s needs %v, want %s", route.Kind(kind), got, text)
		}
	}
}
