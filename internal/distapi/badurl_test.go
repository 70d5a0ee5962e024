package distapi_test

import (
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/registry"
)

// What a path is read as must not depend on who reads it: what is encoded,
// doubled or relative is refused, not cleaned.
func TestPathTricks(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushImage(t, "a", "v1", "layer")
	const name, none = "NAME_INVALID", "NOT_FOUND"
	s.unchanged(t, func() {
		for path, code := range map[string]string{
			"/v2/%61/tags/list":                                 name,
			"/v2/x/%2e%2e/a/tags/list":                          name,
			"/v2/x%2fa/tags/list":                               name,
			"/v2/x%2Fa/tags/list":                               name,
			"/v2/a%2ftags%2flist":                               name,
			"/v2/a%00/tags/list":                                name,
			"/v2/a%0a/tags/list":                                name,
			"/v2/a%5cb/tags/list":                               name,
			`/v2/a\b/tags/list`:                                 name,
			"/v2/a%20/tags/list":                                name,
			"/v2/a/manifests/v1%3f":                             name,
			"/v2/a/manifests/v1%00":                             name,
			"/v2/a/blobs/sha256%253A" + strings.Repeat("a", 64): name,
			"/v2/\u00e9/tags/list":                              name,
			"/v2/a\xff/tags/list":                               name,
			"/v2/../a/tags/list":                                name,
			"/v2/../v2/a/tags/list":                             name,
			"/v2/x/../a/tags/list":                              name,
			"/v2/./a/tags/list":                                 name,
			"/v2/a/./tags/list":                                 name,
			"/v2//a/tags/list":                                  name,
			"/v2/a//tags/list":                                  name,
			"/v2/a;b=c/tags/list":                               name,
			"/v2/a:v1/tags/list":                                name,
			"/v2/a@b/tags/list":                                 name,
			"/v2//tags/list":                                    name,
			"/v2/tags/list":                                     none,
			"/v2/a/blobs/uploads/../../manifests/v1":            name,
			"/v2/a/blobs/../manifests/v1":                       name,
			"/v2/a/tags//list":                                  none,
			"/v2/a/tags/list/":                                  none,
			"/v2/a/tags/./list":                                 none,
			"/v2/a/tags":                                        none,
			"/v2/a/manifests/v1/":                               none,
			"/v2/a/manifests//v1":                               none,
			"/v2/a/manifests":                                   none,
			"/v2/a/blobs/" + sha256("layer") + "/":              none,
			"/v2/a/referrers/" + sha256("layer") + "/":          none,
			"/v2/a/manifests/..":                                "MANIFEST_INVALID",
			"/v2/a/manifests/.":                                 "MANIFEST_INVALID",
			"/v2/a/manifests/":                                  "MANIFEST_INVALID",
			"/v2/a/blobs/":                                      "DIGEST_INVALID",
			"/v2/a/blobs/..":                                    "DIGEST_INVALID",
			"/v2/a/referrers/":                                  "DIGEST_INVALID",
			"/v2/_catalog/":                                     none,
			"/v2/_catalogue":                                    none,
			"/v2/_CATALOG":                                      none,
			"/v2/a/_catalog":                                    none,
			"/v2/a":                                             none,
			"/v2/a/":                                            none,
			"//v2/a/tags/list":                                  none,
			"/v2/../../etc/passwd":                              none,
			"/V2/":                                              none,
			"/v1/":                                              none,
			"/v2.0/":                                            none,
			"/v2x":                                              none,
			"/":                                                 none,
			"/index.html":                                       none,
		} {
			status := 400
			if code == none {
				status = 404
			}
			call{do: "GET " + path, status: status, code: code}.rawCall(t, s, -1)
			call{do: "HEAD " + path, status: status}.rawCall(t, s, -1)
		}
	})
}

func TestPathsThatAreFine(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	m := s.pushImage(t, "a", "v1", "layer")
	for _, repo := range []string{"blobs/uploads", "manifests", "v2", "tags/list", "a/tags/list", "a/manifests/b", "a-b.c_d__e---f/0", strings.Repeat("a", 255)} {
		s.pushImage(t, repo, "v1", "layer")
		runAll(t, s, []call{
			{name: repo + " manifest", do: "GET /v2/" + repo + "/manifests/v1", status: 200, text: m},
			{name: repo + " blob", do: "GET /v2/" + repo + "/blobs/" + sha256("layer"), status: 200, text: "layer"},
			{name: repo + " tags", do: "GET /v2/" + repo + "/tags/list", status: 200, text: `{"name":"` + repo + `","tags":["v1"]}`},
		})
	}
	for _, path := range []string{
		"/v2", "/v2/", "/v2/?", "/v2/a/manifests/v1?x=y", "/v2/a/blobs/sha256%3a" + strings.TrimPrefix(sha256("layer"), "sha256:"),
		"http://other.example/v2/a/tags/list", // the form for proxies (RFC 9112, section 3.2.2)
	} {
		call{do: "GET " + path, status: 200}.rawCall(t, s, -1)
	}
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "text")
	s.unchanged(t, func() {
		for _, repo := range []string{
			"A", "a/B", "_a", "a_", "-a", "a-", ".a", "a.", "a..b", "a___b", "a._b", "a/_b", "a/b/", "a$b", "a~b", strings.Repeat("a", 256), "_catalog",
		} {
			for _, do := range []string{
				"GET /v2/" + repo + "/tags/list",
				"GET /v2/" + repo + "/manifests/v1",
				"PUT /v2/" + repo + "/manifests/v1",
				"GET /v2/" + repo + "/blobs/" + sha256("text"),
				"GET /v2/" + repo + "/referrers/" + sha256("text"),
				"POST /v2/" + repo + "/blobs/uploads/",
				"POST /v2/" + repo + "/blobs/uploads/?digest=" + sha256(""),
				"POST /v2/" + repo + "/blobs/uploads/?from=a&mount=" + sha256("text"),
				"POST /v2/b/blobs/uploads/?mount=" + sha256("text") + "&from=" + repo,
			} {
				call{do: do, status: 400, code: "NAME_INVALID"}.run(t, s)
			}
		}
		call{do: "POST /v2/b/blobs/uploads/?mount=" + sha256("text") + "&from=a&from=b", status: 400, code: "NAME_INVALID"}.run(t, s)
	})
}

func TestBadTags(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	m := s.pushImage(t, "a", "v1")
	s.unchanged(t, func() {
		for _, tag := range []string{".x", "-x", "a+b", "a~b", "a@b", "a,b", strings.Repeat("x", 129)} {
			for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
				call{do: method + " /v2/a/manifests/" + tag, body: m, status: 400, code: "MANIFEST_INVALID"}.run(t, s)
			}
		}
	})
	s.pushManifest(t, "a", strings.Repeat("x", 128), m)
	s.pushManifest(t, "a", "_.-X9", m)
}

func TestBadDigests(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	m := s.pushImage(t, "a", "v1")
	session := s.start(t, "a")
	hex := strings.TrimPrefix(sha256(m), "sha256:")
	bad := []string{
		"sha256:", "sha256:" + hex[1:], "sha256:0" + hex, "sha256:" + strings.ToUpper(hex), "SHA256:" + hex, "sha256:g" + hex[1:],
		"sha512:" + hex, "md5:d41d8cd98f00b204e9800998ecf8427e", "sha384:" + hex + hex[:32], "sha256+b64:" + hex, ":" + hex, "sha256:" + hex + ":", "x:y",
	}
	s.unchanged(t, func() {
		for _, digest := range bad {
			for _, do := range []string{
				"GET /v2/a/blobs/", "HEAD /v2/a/blobs/", "DELETE /v2/a/blobs/", "GET /v2/a/manifests/", "PUT /v2/a/manifests/", "DELETE /v2/a/manifests/",
				"GET /v2/a/referrers/", "POST /v2/a/blobs/uploads/?digest=", "POST /v2/a/blobs/uploads/?mount=", "PUT " + session + "?digest=",
			} {
				escaped := digest
				if strings.Contains(do, "?") {
					escaped = strings.ReplaceAll(digest, "+", "%2B")
				}
				call{do: do + escaped, body: m, status: 400, code: "DIGEST_INVALID"}.run(t, s)
			}
		}
		for _, do := range []string{
			"GET /v2/a/blobs/" + hex, "GET /v2/a/referrers/v1", "POST /v2/a/blobs/uploads/?digest=" + hex, "PUT " + session, "PUT " + session + "?digest=",
			"PUT " + session + "?digest=" + sha256("") + "&digest=" + sha256("x"), "POST /v2/a/blobs/uploads/?digest=" + sha256("") + "&digest=" + sha256(""),
			"POST /v2/a/blobs/uploads/?digest-algorithm=md5", "POST /v2/a/blobs/uploads/?digest-algorithm=SHA256",
			"POST /v2/a/blobs/uploads/?digest-algorithm=sha256&digest-algorithm=sha512", "POST /v2/a/blobs/uploads/?mount=x&from=a",
		} {
			call{do: do, status: 400, code: "DIGEST_INVALID"}.run(t, s)
		}
	})
}

func TestMethods(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	session := s.start(t, "a")
	for url, allow := range map[string]string{
		"/v2/": "GET, HEAD", "/v2": "GET, HEAD", "/v2/_catalog": "GET, HEAD", "/v2/a/tags/list": "GET, HEAD",
		"/v2/a/referrers/" + sha256("x"): "GET, HEAD", "/v2/a/blobs/" + sha256("x"): "DELETE, GET, HEAD",
		"/v2/a/manifests/v1": "DELETE, GET, HEAD, PUT", "/v2/a/manifests/" + sha256("x"): "DELETE, GET, HEAD, PUT",
		"/v2/a/blobs/uploads/": "POST", "/v2/a/blobs/uploads": "POST", session: "DELETE, GET, HEAD, PATCH, PUT",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"} {
			if strings.Contains(", "+allow+",", ", "+method+",") {
				continue
			}
			for _, as := range []string{"", "nobody"} {
				call{do: method + " " + url, as: as, status: 405, code: "UNSUPPORTED", want: []string{"Allow: " + allow}}.run(t, s)
			}
		}
	}
}
