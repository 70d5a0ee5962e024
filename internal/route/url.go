package route

import (
	"net/http"
	"net/url"
)

// Method is the HTTP method of the request.
func (r *Request) Method() string {
	switch r.Kind {
	case BlobDelete, UploadCancel, ManifestDelete:
		return http.MethodDelete
	case UploadStart:
		return http.MethodPost
	case UploadAppend:
		return http.MethodPatch
	case UploadFinish, ManifestPut:
		return http.MethodPut
	default:
		if r.Head {
			return http.MethodHead
		}
		return http.MethodGet
	}
}

// URL is the path and the query of the request. Parse reads it back into an
// equal Request. Answers carry it as their Location: being relative, it stays
// right behind any proxy.
func (r *Request) URL() string {
	u := url.URL{Path: r.path(), RawQuery: r.query().Encode()}
	return u.RequestURI()
}

func (r *Request) path() string {
	base := Prefix + r.Repo
	switch r.Kind {
	case Ping:
		return Prefix
	case Catalog:
		return Prefix + "_catalog"
	case BlobRead, BlobDelete:
		return base + "/blobs/" + string(r.Digest)
	case UploadStart:
		return base + "/blobs/uploads/"
	case UploadAppend, UploadFinish, UploadStatus, UploadCancel:
		return base + "/blobs/uploads/" + r.UploadID
	case ManifestRead, ManifestPut, ManifestDelete:
		return base + "/manifests/" + r.Reference.String()
	case TagList:
		return base + "/tags/list"
	case Referrers:
		return base + "/referrers/" + string(r.Digest)
	default:
		return "/"
	}
}

func (r *Request) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	switch r.Kind {
	case UploadStart:
		set("digest", string(r.Digest))
		set("mount", string(r.Mount))
		set("from", r.From)
		set("digest-algorithm", string(r.Algorithm))
	case UploadFinish:
		set("digest", string(r.Digest))
	case ManifestPut:
		if len(r.Tags) > 0 {
			q["tag"] = r.Tags
		}
	case Referrers:
		set("artifactType", r.ArtifactType)
		r.Page.addTo(q)
	case TagList, Catalog:
		r.Page.addTo(q)
	default: // the others have no query
	}
	return q
}
