package distapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/registry"
)

// FuzzHandler sends requests to a registry that lets everybody in: whatever they
// are, the answer has the form of the specification and is not that something of
// ours went wrong.
func FuzzHandler(f *testing.F) {
	s := &server{dir: f.TempDir()}
	var ids atomic.Int64 // the same in each process, so that what was found can be found again
	newID := func() string { return "id" + strconv.FormatInt(ids.Add(1), 10) }
	h := s.open(f, registry.Options{UploadsPerOwner: 1_000_000, NewID: newID})
	image, subject := image(layer("layer")), descriptor(v1.MediaTypeImageManifest, "subject")
	artifact := manifestJSON(v1.Manifest{Subject: &subject})
	prepare := func(method, target, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(f.Context(), method, target, strings.NewReader(body)))
		if w.Code >= http.StatusBadRequest {
			f.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		return w
	}
	prepare("POST", "/v2/a/blobs/uploads/?digest="+sha256("{}"), "{}")
	prepare("POST", "/v2/a/blobs/uploads/?digest="+sha256("layer"), "layer")
	prepare("PUT", "/v2/a/manifests/v1", image)
	session := prepare("POST", "/v2/a/blobs/uploads/", "").Header().Get("Location")
	addSeeds(f, session, image, artifact)
	f.Fuzz(func(t *testing.T, method, target, header, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Skip("net/http refuses it")
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL, r.RequestURI = method, u, target
		for line := range strings.SplitSeq(header, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Add(textproto.CanonicalMIMEHeaderKey(name), value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		a := answer{status: w.Code, header: w.Header(), body: w.Body.String()}
		checkAnswer(t, method+" "+target, a)
		if a.status >= http.StatusBadRequest && errorCode(t, method+" "+target, a) == "" {
			t.Errorf("%s %s: an error without a code: %s", method, target, a.body)
		}
	})
}

// addSeeds adds a request of each kind, and some that are nearly one.
func addSeeds(f *testing.F, session, image, artifact string) {
	f.Helper()
	for _, seed := range [][4]string{
		{"GET", "/v2/"},
		{"GET", "/v2/_catalog?n=1&last=a"},
		{"HEAD", "/v2/a/manifests/v1"},
		{"GET", "/v2/a/manifests/" + sha256(image), `If-None-Match: "x", W/"y"` + "\nAccept: */*"},
		{"PUT", "/v2/a/manifests/v2", "Content-Type: " + v1.MediaTypeImageManifest, image},
		{"PUT", "/v2/a/manifests/v2", "If-Match: *\nIf-None-Match: \"x\"", image},
		{"PUT", "/v2/a/manifests/" + sha256(artifact) + "?tag=x&tag=y", "", artifact},
		{"PUT", "/v2/a/manifests/list", "Content-Type: " + v1.MediaTypeImageIndex, index(image)},
		{"DELETE", "/v2/a/manifests/v3"},
		{"GET", "/v2/a/blobs/" + sha256("layer"), "Range: bytes=0-1,-1\nIf-Range: \"x\""},
		{"GET", "/v2/a/blobs/" + sha256("layer"), "Range: bytes=9-\nIf-Match: \"x\""},
		{"HEAD", "/v2/a/blobs/sha256%3A" + sha256("layer")[len("sha256:"):]},
		{"DELETE", "/v2/b/blobs/" + sha256("layer")},
		{"POST", "/v2/a/blobs/uploads/?digest=" + sha256("x"), "", "x"},
		{"POST", "/v2/b/blobs/uploads/?mount=" + sha256("layer") + "&from=a"},
		{"POST", "/v2/b/blobs/uploads/?digest-algorithm=sha512"},
		{"PATCH", session, "Content-Range: 0-3", "text"},
		{"PUT", session + "?digest=" + sha256("x"), "Content-Range: 4-4", "x"},
		{"GET", session},
		{"DELETE", "/v2/a/blobs/uploads/x"},
		{"GET", "/v2/a/tags/list?n=99999999999999999999&last=%00"},
		{"GET", "/v2/a/referrers/" + sha256("subject") + "?artifactType=x&n=1"},
		{"OPTIONS", "/v2/a//..%2f%00\\"},
		{"GET", "*", "Authorization: Basic eDp5\nAuthorization: Bearer x"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
}
