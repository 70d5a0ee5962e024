package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

// rewrite makes the URLs in the headers of an answer the gateway's own.
//
// Errors: BadGateway.
func (h *Handler) rewrite(x *exchange, resp *http.Response) error {
	if err := h.rewriteLocation(x, resp); err != nil {
		return err
	}
	switch x.asked.Kind {
	case route.TagList, route.Referrers:
		return rewriteLink(x.asked, resp)
	default:
		return nil
	}
}

// rewriteLocation replaces the Location of an answer: of what is stored and of
// upload sessions by our own, a path of the upstream's host by the path alone. A
// redirect to another host, such as that of an object store, stays.
func (h *Handler) rewriteLocation(x *exchange, resp *http.Response) error {
	text := resp.Header.Get("Location")
	if text == "" {
		return nil
	}
	target, own := ownTarget(text, x.out, resp)
	redirect := resp.StatusCode >= 300 && resp.StatusCode < 400
	switch {
	case resp.StatusCode == http.StatusCreated:
		resp.Header.Set("Location", x.created(target, resp))
		return nil
	case x.inSession() && !redirect:
		return h.sealLocation(x, resp, target, own)
	case own:
		resp.Header.Set("Location", target.RequestURI())
		return nil
	default:
		return nil
	}
}

// ownTarget reads a Location. If it leads to the upstream itself, it returns its
// path and query.
func ownTarget(text string, out *http.Request, resp *http.Response) (*url.URL, bool) {
	ref, err := url.Parse(text)
	if err != nil || ref.Opaque != "" {
		return &url.URL{}, false
	}
	if ref.Host != "" && !sameHost(ref.Host, out.Host) && (resp.Request == nil || !sameHost(ref.Host, resp.Request.URL.Host)) {
		return &url.URL{}, false
	}
	ref = out.URL.ResolveReference(&url.URL{Path: ref.Path, RawPath: ref.RawPath, RawQuery: ref.RawQuery})
	return &url.URL{Path: ref.Path, RawPath: ref.RawPath, RawQuery: ref.RawQuery}, true
}

// sameHost compares "host:port", where the ports of http and https may be left
// out: behind a gateway an upstream cannot always know which it is.
func sameHost(a, b string) bool {
	plain := func(host string) string {
		return strings.TrimSuffix(strings.TrimSuffix(host, ":80"), ":443")
	}
	return strings.EqualFold(plain(a), plain(b))
}

// inSession reports whether the answer tells about an upload session.
func (x *exchange) inSession() bool {
	switch x.asked.Kind {
	case route.UploadStart, route.UploadAppend, route.UploadFinish, route.UploadStatus, route.UploadCancel:
		return true
	default:
		return false
	}
}

// created returns the URL of what has been stored: where the upstream says that it
// is, if that can be read.
func (x *exchange) created(target *url.URL, resp *http.Response) string {
	q := x.asked
	if there, err := route.Parse(http.MethodGet, target); err == nil && there.Repo == q.Repo &&
		(there.Kind == route.BlobRead || there.Kind == route.ManifestRead) {
		return there.URL()
	}
	stored, err := oci.ParseDigest(resp.Header.Get("Docker-Content-Digest"))
	if q.Kind == route.ManifestPut {
		own := route.Request{Kind: route.ManifestRead, Repo: q.Repo, Reference: q.Reference}
		if err == nil {
			own.Reference = oci.Reference{Digest: stored}
		}
		return own.URL()
	}
	own := route.Request{Kind: route.BlobRead, Repo: q.Repo, Digest: q.Digest}
	switch {
	case q.Mount != "":
		own.Digest = q.Mount
	case err == nil:
		own.Digest = stored
	}
	return own.URL()
}

// sealLocation replaces the Location of an upload session by one that only its
// owner can use, through the gateway.
func (h *Handler) sealLocation(x *exchange, resp *http.Response, target *url.URL, own bool) error {
	if !own {
		return oci.Errorf(oci.BadGateway, "the upstream registry sends uploads to another host, where the gateway does not follow: "+
			"let it make relative Locations, or none with a host of its own")
	}
	id, err := h.Sealer.seal(seal{
		Prefix: x.to.Prefix, Repo: x.asked.Repo, Owner: x.call.Who.Key(),
		Location: target.RequestURI(), Started: x.started,
	})
	if err != nil {
		return err
	}
	session := route.Request{Kind: route.UploadStatus, Repo: x.asked.Repo, UploadID: id}
	resp.Header.Set("Location", session.URL())
	return nil
}

// rewriteLink replaces the Link of a list by the same request to the gateway,
// behind the entry that the upstream names.
func rewriteLink(q *route.Request, resp *http.Response) error {
	page, more, err := nextPage(q.Page, resp.Header)
	if err != nil || !more {
		return err
	}
	next := *q
	next.Page = page
	resp.Header.Set("Link", linkTo(&next))
	return nil
}

// linkTo is a Link to the next page (RFC 8288).
func linkTo(next *route.Request) string { return "<" + next.URL() + `>; rel="next"` }

// nextPage reads the Link of an upstream's list (distribution-spec, "Listing
// Tags").
//
// Errors: BadGateway: there is a next page, but n and last do not lead there.
func nextPage(p route.Page, header http.Header) (route.Page, bool, error) {
	target := nextLink(header)
	if target == "" {
		return p, false, nil
	}
	lost := oci.Errorf(oci.BadGateway, "the list goes on in the upstream registry in a way that the gateway cannot follow")
	u, err := url.Parse(target)
	if err != nil {
		return p, false, lost.Because(err)
	}
	catalog := url.URL{Path: route.Prefix + "_catalog", RawQuery: u.RawQuery} // any list will do
	there, err := route.Parse(http.MethodGet, &catalog)
	if err != nil {
		return p, false, lost.Because(err)
	}
	if there.Page.Last == "" || there.Page.Last == p.Last {
		return p, false, lost
	}
	p.Last = there.Page.Last
	if there.Page.N > 0 {
		p.N = there.Page.N
	}
	return p, true, nil
}

// nextLink returns the target of the Link with the relation "next", or "".
func nextLink(header http.Header) string {
	for _, value := range header.Values("Link") {
		for value != "" {
			_, rest, ok := strings.Cut(value, "<")
			if !ok {
				break
			}
			target, rest, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			params, following, _ := strings.Cut(rest, "<")
			if isNext(params) {
				return target
			}
			value = "<" + following
			if following == "" {
				break
			}
		}
	}
	return ""
}

// isNext reads the parameters of a link, up to the next one.
func isNext(params string) bool {
	for param := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ',' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(strings.TrimSpace(name), "rel") && strings.EqualFold(strings.Trim(value, ` "`), "next") {
			return true
		}
	}
	return false
}
