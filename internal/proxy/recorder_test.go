package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// diffHeaders compares two headers; "" if they are the same.
func diffHeaders(want, got http.Header) string { return cmp.Diff(want, got) }

// seen is a request as it arrived, or an answer as it was sent.
type seen struct {
	line   string // method and URI, or the status
	header http.Header
	length int64
	body   string
}

// recorder is an upstream that keeps what it gets, and answers as it is told.
type recorder struct {
	got    []seen
	answer seen
	status int
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	rec.got = append(rec.got, seen{line: r.Method + " " + r.RequestURI, header: r.Header.Clone(), length: r.ContentLength, body: string(body)})
	for name, values := range rec.answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.status)
	_, _ = io.WriteString(w, rec.answer.body)
}

// What the client sends arrives, with the four headers about it that the gateway
// sets, and what the upstream answers comes back: nothing is added and nothing is
// lost.
func TestTheGatewayAddsAndLosesNothing(t *testing.T) {
	t.Parallel()
	d, binary := digestOf("x"), string([]byte{0, 1, 255, '\r', '\n', 0})
	const jsonBody = `{ "tags": [] ,"name":"shared/app"}` + "\n"
	for name, c := range map[string]struct {
		line    string
		body    string
		chunked bool
		status  int
		answer  string
	}{
		"blob":              {"GET /v2/shared/app/blobs/" + d, "", false, 200, binary},
		"part of a blob":    {"GET /v2/shared/app/blobs/" + d, "", false, 206, binary},
		"blob is there":     {"HEAD /v2/shared/app/blobs/" + d, "", false, 200, ""},
		"blob deletion":     {"DELETE /v2/shared/app/blobs/" + d, "", false, 202, ""},
		"upload start":      {"POST /v2/shared/app/blobs/uploads/", "", false, 202, ""},
		"whole upload":      {"POST /v2/shared/app/blobs/uploads/?digest=" + strings.ReplaceAll(d, ":", "%3A"), binary, false, 201, ""},
		"chunked upload":    {"POST /v2/shared/app/blobs/uploads/?digest=" + strings.ReplaceAll(d, ":", "%3A"), binary, true, 201, ""},
		"mount":             {"POST /v2/shared/app/blobs/uploads/?from=shared%2Fb&mount=" + strings.ReplaceAll(d, ":", "%3A"), "", false, 201, ""},
		"manifest":          {"GET /v2/shared/app/manifests/latest", "", false, 200, "{}"},
		"manifest unmoved":  {"GET /v2/shared/app/manifests/latest", "", false, 304, ""},
		"manifest by HEAD":  {"HEAD /v2/shared/app/manifests/" + d, "", false, 200, ""},
		"manifest push":     {"PUT /v2/shared/app/manifests/latest", "{ }", false, 201, ""},
		"chunked manifest":  {"PUT /v2/shared/app/manifests/latest", "{ }", true, 201, ""},
		"manifest and tags": {"PUT /v2/shared/app/manifests/" + d + "?tag=b&tag=a", "{ }", false, 201, ""},
		"manifest deletion": {"DELETE /v2/shared/app/manifests/latest", "", false, 202, ""},
		"tags":              {"GET /v2/shared/app/tags/list?last=a&n=10", "", false, 200, jsonBody},
		"referrers":         {"GET /v2/shared/app/referrers/" + d + "?artifactType=a%2Fb", "", false, 200, "{}"},
		"an error":          {"GET /v2/shared/app/manifests/latest", "", false, 404, `{"errors":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := &recorder{status: c.status}
			rec.answer.body = c.answer
			rec.answer.header = allHeaders()
			g := newGateway(t, behind(t, "", rec))
			g.compare(t, rec, c.line, c.line, c.body, c.chunked)
		})
	}
}

// The same for what is about an upload session, but for the place where it is.
func TestTheGatewayAddsAndLosesNothingInASession(t *testing.T) {
	t.Parallel()
	const at = "/odd/path%2Fwith/1?_state=a%2Bb%3D%3D&z=1&a=2"
	d := digestOf("x")
	for name, c := range map[string]struct {
		method  string
		query   string // of the client
		added   string // to the query of the upstream
		body    string
		chunked bool
		status  int
		answer  string
	}{
		"chunk":             {"PATCH", "", "", "some bytes", false, 202, ""},
		"stream":            {"PATCH", "", "", "some bytes", true, 202, ""},
		"chunk out of line": {"PATCH", "", "", "some bytes", false, 416, `{"errors":[]}`},
		"end":               {"PUT", "?digest=" + d, "&digest=" + strings.ReplaceAll(d, ":", "%3A"), "", false, 201, ""},
		"last chunk":        {"PUT", "?digest=" + d, "&digest=" + strings.ReplaceAll(d, ":", "%3A"), "the rest", false, 201, ""},
		"status":            {"GET", "", "", "", false, 204, ""},
		"cancel":            {"DELETE", "", "", "", false, 204, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := &recorder{status: http.StatusAccepted}
			rec.answer.header = http.Header{"Location": {at}}
			g := newGateway(t, behind(t, "", rec))
			ours := g.want(t, http.StatusAccepted, "admin", "POST /v2/shared/app/blobs/uploads/", "").header.Get("Location")
			rec.got, rec.status = nil, c.status
			rec.answer.body, rec.answer.header = c.answer, allHeaders()
			g.compare(t, rec, c.method+" "+ours+c.query, c.method+" "+at+c.added, c.body, c.chunked)
		})
	}
}

// allHeaders are those of an answer, as an upstream may send them.
func allHeaders() http.Header {
	return http.Header{
		"Content-Type": {"application/x-anything"}, "Docker-Content-Digest": {digestOf("x")}, "Etag": {`"e"`}, "Range": {"0-5"},
		"Oci-Subject": {digestOf("x")}, "Oci-Tag": {"a", "b"}, "Oci-Filters-Applied": {"artifactType"}, "Warning": {`299 - "a"`, `299 - "b"`},
		"Content-Range": {"bytes 0-5/9"}, "Docker-Upload-Uuid": {"u"}, "Oci-Chunk-Min-Length": {"5"}, "Retry-After": {"1"},
		"Date": {"Mon, 02 Jan 2006 15:04:05 GMT"}, "Server": {"upstream"}, "Docker-Distribution-Api-Version": {"registry/2.0"},
		"X-Unknown": {"1", "2"}, "Cache-Control": {"private"}, "Last-Modified": {"Mon, 02 Jan 2006 15:04:05 GMT"},
	}
}

// compare sends a request of which the upstream is to get the line there, and looks
// at both sides.
func (g *gateway) compare(t *testing.T, rec *recorder, line, there, body string, chunked bool) {
	t.Helper()
	sent := http.Header{
		"Accept": {"a/b, c/d", "e/f"}, "Accept-Encoding": {"zstd"}, "Content-Type": {"application/y"}, "User-Agent": {"client/1"},
		"If-None-Match": {`"x"`}, "If-Match": {"*"}, "Range": {"bytes=0-5"}, "Content-Range": {"0-5"}, "X-Unknown": {"1", "2"}, "Docker-Upload-Uuid": {"v"},
	}
	method, target, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, g.URL+target, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if chunked {
		req.ContentLength, req.Body = -1, io.NopCloser(strings.NewReader(body))
	}
	req.Header = sent.Clone()
	req.SetBasicAuth("admin", "pw")
	back := g.send(t, req)
	checkArrived(t, rec, req, there, body, sent)
	checkCameBack(t, rec, back, method, rec.answer.body)
}

func checkArrived(t *testing.T, rec *recorder, req *http.Request, line, body string, sent http.Header) {
	t.Helper()
	if len(rec.got) != 1 {
		t.Fatalf("the upstream got %d requests: %v", len(rec.got), rec.got)
	}
	got := rec.got[0]
	if got.line != line || got.body != body {
		t.Errorf("the upstream got %s with %q, want %s with %q", got.line, got.body, line, body)
	}
	length := req.ContentLength
	if strings.Contains(line, "/manifests/") { // which the gateway reads first: it knows their length
		length = int64(len(body))
	}
	if got.length != length {
		t.Errorf("the upstream got a length of %d, want %d", got.length, length)
	}
	want := sent.Clone()
	want["X-Real-Ip"], want["X-Forwarded-For"] = []string{"127.0.0.1"}, []string{"127.0.0.1"}
	want["X-Forwarded-Proto"], want["X-Forwarded-Host"] = []string{"http"}, []string{req.URL.Host}
	delete(got.header, "Content-Length")
	if ids := got.header["X-Request-Id"]; len(ids) != 1 || ids[0] == "" {
		t.Errorf("X-Request-Id is %q", ids)
	}
	delete(got.header, "X-Request-Id")
	if req.Method != http.MethodGet && req.Method != http.MethodHead && req.ContentLength > 0 {
		want.Del("Content-Length")
	}
	if diff := diffHeaders(want, got.header); diff != "" {
		t.Errorf("the upstream got (-want +got):\n%s", diff)
	}
}

func checkCameBack(t *testing.T, rec *recorder, back answer, method, body string) {
	t.Helper()
	if back.status != rec.status || back.body != body {
		t.Errorf("%s: the client got %d with %q, want %d with %q", method, back.status, back.body, rec.status, body)
	}
	if back.header.Get("X-Request-Id") == "" {
		t.Error("the answer has no X-Request-Id")
	}
	want := rec.answer.header.Clone()
	got := back.header.Clone()
	got.Del("X-Request-Id")
	if body != "" {
		want.Set("Content-Length", fmt.Sprint(len(body)))
	} else {
		got.Del("Content-Length")
	}
	if rec.status == http.StatusNotModified {
		want.Del("Content-Type") // net/http leaves it out of the upstream's answer
	}
	if diff := diffHeaders(want, got); diff != "" {
		t.Errorf("the client got (-want +got):\n%s", diff)
	}
}

// What is about an upload session goes to where the upstream has it, as it wrote
// it.
func TestSessionsAreForwardedToTheirLocation(t *testing.T) {
	t.Parallel()
	rec := &recorder{status: http.StatusAccepted}
	const at = "/odd/path%2Fwith/1?_state=a%2Bb%3D%3D&z=1&a=2"
	rec.answer.header = http.Header{"Location": {at}}
	g := newGateway(t, behind(t, "", rec))
	ours := g.want(t, http.StatusAccepted, "alice", "POST /v2/shared/app/blobs/uploads/", "").header.Get("Location")
	d := digestOf("x")
	ours = g.want(t, http.StatusAccepted, "alice", "PATCH "+ours, "chunk").header.Get("Location")
	g.want(t, http.StatusAccepted, "alice", "GET "+ours, "")
	g.want(t, http.StatusAccepted, "alice", "PUT "+ours+"?digest="+d, "last")
	g.want(t, http.StatusAccepted, "alice", "DELETE "+ours, "")
	want := []string{
		"POST /v2/shared/app/blobs/uploads/", "PATCH " + at, "GET " + at,
		"PUT " + at + "&digest=" + strings.ReplaceAll(d, ":", "%3A"), "DELETE " + at,
	}
	var got []string
	for _, s := range rec.got {
		got = append(got, s.line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the upstream got (-want +got):\n%s", diff)
	}
}
