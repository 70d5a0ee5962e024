package distapi_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// A client whose connection ends before its body does gets nothing stored,
// unless it has a session to go on with.
func TestBodyEndsEarly(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	manifest := s.pushImage(t, "a", "v1", "layer")
	for _, size := range []int{0, 1, 1000, 3_000_000} {
		text := strings.Repeat("x", size) // the digest is that of what does come
		s.unchanged(t, func() {
			runRaw(t, s, "POST in one piece, "+strconv.Itoa(size), size+1, call{
				do: "POST /v2/a/blobs/uploads/?digest=" + sha256(text), body: text, status: 400, code: "SIZE_INVALID",
			})
			runRaw(t, s, "POST in one piece, chunked, "+strconv.Itoa(size), -1, call{
				do: "POST /v2/a/blobs/uploads/?digest=" + sha256(text), body: chunks(text), header: []string{"Transfer-Encoding: chunked"},
				status: 400, code: "SIZE_INVALID",
			})
			call{do: "GET /v2/a/blobs/" + sha256(text), status: 404, code: "BLOB_UNKNOWN"}.run(t, s)
			for name, do := range map[string]string{"PATCH": "PATCH ", "PUT": "PUT "} {
				session := s.start(t, "a")
				url := session
				if name == "PUT" {
					url += "?digest=" + sha256(text)
				}
				runRaw(t, s, name+", "+strconv.Itoa(size), size+1, call{do: do + url, body: text, status: 400, code: "SIZE_INVALID"})
				call{do: "GET " + session, status: 204, want: []string{"Range: 0-" + strconv.Itoa(max(size-1, 0))}}.run(t, s)
				runRaw(t, s, name+" chunked, "+strconv.Itoa(size), -1, call{
					do: do + url, body: chunks(text), header: []string{"Transfer-Encoding: chunked"}, status: 400, code: "SIZE_INVALID",
				})
				call{do: "GET " + session, status: 204, want: []string{"Range: 0-" + strconv.Itoa(max(2*size-1, 0))}}.run(t, s)
				call{do: "GET /v2/a/blobs/" + sha256(text), status: 404, code: "BLOB_UNKNOWN"}.run(t, s)
				call{do: "DELETE " + session, status: 204}.run(t, s)
			}
		})
	}
	t.Run("manifest", func(t *testing.T) {
		s.unchanged(t, func() {
			for _, reference := range []string{"v1", "new", sha256(manifest), sha512(manifest)} {
				put := call{do: "PUT /v2/a/manifests/" + reference, body: manifest, status: 400, code: "SIZE_INVALID"}
				put.rawCall(t, s, len(manifest)+1)
				put.header, put.body = []string{"Transfer-Encoding: chunked"}, chunks(manifest)
				put.rawCall(t, s, -1)
			}
		})
		call{do: "GET /v2/a/manifests/" + sha512(manifest), status: 404, code: "MANIFEST_UNKNOWN"}.run(t, s)
	})
}

// chunks encodes text for a body in chunks, and leaves out the last chunk, which
// says that no more will come (RFC 9112, section 7.1).
func chunks(text string) string {
	if text == "" {
		return ""
	}
	return strconv.FormatInt(int64(len(text)), 16) + "\r\n" + text + "\r\n"
}

func runRaw(t *testing.T, s *server, name string, length int, c call) {
	t.Helper()
	t.Run(name, func(t *testing.T) { c.rawCall(t, s, length) })
}

// What came before the connection broke is not sent again.
func TestUploadGoesOnAfterTheBreak(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	text := strings.Repeat("0123456789", 100_000)
	session := s.start(t, "a")
	call{do: "PATCH " + session, body: text[:600_000], status: 400, code: "SIZE_INVALID"}.rawCall(t, s, len(text))
	call{do: "GET " + session, status: 204, want: []string{"Range: 0-599999"}}.run(t, s)
	chunk(session, text[600_000:], "0-999999", "Content-Range: 600000-999999").run(t, s)
	finish(session, text, "").run(t, s)
	a := call{do: "GET " + blobOf(session) + sha256(text), status: 200}.run(t, s)
	if a.body != text {
		t.Error("the blob is not what was sent")
	}
}

// A client that is gone altogether, and cannot be answered, leaves nothing either.
func TestConnectionBreaks(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	before := s.stored(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(conn, "POST /v2/a/blobs/uploads/?digest="+sha256("text")+" HTTP/1.1\r\nHost: x\r\n"+signedIn+"Content-Length: 1000000\r\n\r\ntext")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the upload has begun", func() bool { return len(s.files(t, "uploads")) > 0 })
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // a reset instead of a proper end
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the upload is gone", func() bool { return len(s.files(t, "uploads")) == 0 })
	if diff := cmp.Diff(before, s.stored(t)); diff != "" {
		t.Errorf("what the server keeps has changed (-before +after):\n%s", diff)
	}
}

// Nobody who is not let in is asked to send a body.
func TestBodyIsNotAskedFor(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.unchanged(t, func() {
		for _, do := range []string{
			"POST /v2/a/blobs/uploads/?digest=" + sha256("x"), "PATCH /v2/a/blobs/uploads/x",
			"PUT /v2/a/blobs/uploads/x?digest=" + sha256("x"), "PUT /v2/a/manifests/v1",
		} {
			method, _, _ := strings.Cut(do, " ")
			// An answer that is not the first thing to come back is one to "100 Continue".
			a := s.talk(t, method, do+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "+strconv.Itoa(oci.MaxManifestSize)+"\r\n\r\n", (*net.TCPConn).CloseWrite)
			call{do: do, status: 401, code: "UNAUTHORIZED", want: []string{`WWW-Authenticate: Basic *`}}.check(t, method, a)
		}
	})
}

// Who is not let in gets the answer at once, and not when the body has come:
// mallory would keep connections open with bodies that never do.
func TestRefusalDoesNotWaitForTheBody(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	for name, headers := range map[string]string{
		"nobody":           "Content-Length: 100\r\n",
		"nobody, in parts": "Transfer-Encoding: chunked\r\n",
		"wrong password":   "Authorization: Basic YWxpY2U6d3Jvbmc=\r\nContent-Length: 100\r\n",
	} {
		request := "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n"
		a := s.talk(t, http.MethodPost, request, func(*net.TCPConn) error { return nil })
		call{name: name, do: "POST", status: 401, code: "UNAUTHORIZED"}.check(t, http.MethodPost, a)
	}
}
