package route

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/moorgate/moorgate/internal/oci"
)

// Prefix is where the distribution API begins.
const Prefix = "/v2/"

// MethodError says that an endpoint exists but not with this method.
type MethodError struct {
	Allow []string // the methods it has
}

func (e *MethodError) Error() string {
	return "the method is not allowed here, only " + strings.Join(e.Allow, ", ")
}

// Parse reads a request line.
//
// Errors: *oci.Error of kind NotFound, NameInvalid, TagInvalid, DigestInvalid,
// BlobUploadUnknown, PageInvalid or Unsupported, the last with a *MethodError
// as its cause.
func Parse(method string, u *url.URL) (*Request, error) {
	path, err := plainPath(u)
	if err != nil {
		return nil, err
	}
	p := &parser{method: method}
	if u.RawQuery != "" {
		if p.query, err = url.ParseQuery(u.RawQuery); err != nil {
			return nil, oci.Errorf(oci.PageInvalid, "the query of the URL is not valid")
		}
	}
	if path == "/v2" {
		return p.ping()
	}
	rest, ok := strings.CutPrefix(path, Prefix)
	if !ok {
		return nil, notFound()
	}
	return p.parse(rest)
}

// plainPath returns the path of u. Nothing in the API needs percent-encoding but
// for the colon of a digest, which some clients encode; anything else that is
// encoded is somebody trying whether two parsers differ.
func plainPath(u *url.URL) (string, error) {
	plain := u.EscapedPath()
	if !strings.Contains(plain, "%") {
		return plain, nil
	}
	plain = strings.ReplaceAll(strings.ReplaceAll(plain, "%3A", ":"), "%3a", ":")
	if strings.Contains(plain, "%") {
		return "", oci.Errorf(oci.NameInvalid, "the path of the URL has percent-encoded characters where none are needed")
	}
	return plain, nil
}

func notFound() error { return oci.Errorf(oci.NotFound, "there is no such endpoint") }

// parser holds what the reading of one request needs.
type parser struct {
	method string
	query  url.Values
}

// parse reads what stands behind /v2/. It reads from the right, for a
// repository name may have components such as "blobs".
func (p *parser) parse(rest string) (*Request, error) {
	switch rest {
	case "":
		return p.ping()
	case "_catalog":
		return p.catalog()
	}
	if repo, id, ok := cutLast(rest, "/blobs/uploads/"); ok {
		return p.upload(repo, id)
	}
	if repo, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return p.inRepo(repo, p.tagList)
	}
	for _, e := range endpoints {
		if repo, last, ok := cutLast(rest, e.part); ok {
			return p.inRepo(repo, func(r *Request) error { return e.read(p, r, last) })
		}
	}
	return nil, notFound()
}

// endpoints are those whose path ends in one variable part. At most one of them
// fits, since the variable part has no slash.
//
//nolint:gochecknoglobals // a lookup table
var endpoints = [...]struct {
	part string
	read func(p *parser, r *Request, last string) error
}{
	{"/manifests/", (*parser).manifest},
	{"/blobs/", (*parser).blob},
	{"/referrers/", (*parser).referrers},
}

// cutLast splits s around sep if what follows has no slash.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 || !strings.HasSuffix(s[:i+1], sep) {
		return "", "", false
	}
	return s[:i+1-len(sep)], s[i+1:], true
}

// inRepo checks the name of a repository and reads the rest.
func (p *parser) inRepo(repo string, read func(*Request) error) (*Request, error) {
	if err := oci.CheckRepository(repo); err != nil {
		return nil, err
	}
	r := &Request{Repo: repo, Page: Page{N: -1}}
	if err := read(r); err != nil {
		return nil, err
	}
	return r, nil
}

// methods sets the kind that belongs to the method. HEAD is read as GET.
func (p *parser) methods(r *Request, kinds map[string]Kind) error {
	method := p.method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	kind, ok := kinds[method]
	if !ok {
		return p.notAllowed(kinds)
	}
	r.Kind, r.Head = kind, p.method == http.MethodHead
	return nil
}

func (p *parser) notAllowed(kinds map[string]Kind) error {
	var allow []string
	for m := range kinds {
		allow = append(allow, m)
		if m == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	cause := &MethodError{Allow: allow}
	return oci.Errorf(oci.Unsupported, "%s", cause.Error()).Because(cause)
}

// one returns the value of a parameter that may be given once. If it is given
// more often, the error is of the given kind.
func (p *parser) one(name string, kind oci.Kind) (string, error) {
	switch v := p.query[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	default:
		return "", oci.Errorf(kind, "the parameter %s is given %d times", name, len(v))
	}
}

// digest reads a parameter that is a digest; "" if it is not given.
func (p *parser) digest(name string) (oci.Digest, error) {
	s, err := p.one(name, oci.DigestInvalid)
	if err != nil || s == "" {
		return "", err
	}
	return oci.ParseDigest(s)
}
