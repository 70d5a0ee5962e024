package distapi_test

import (
	"path"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/registry"
)

func TestUploadWithAnotherDigest(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "b", "held by another repository")
	large := strings.Repeat("0123456789", 100_000)
	for _, text := range []string{"", "text", "held by another repository", large} {
		for _, digest := range []string{sha256("other"), sha512("other"), sha256("held by another repository") /* which nobody gets by naming it */} {
			if digest == sha256(text) {
				continue
			}
			s.unchanged(t, func() {
				post := call{do: "POST /v2/a/blobs/uploads/?digest=" + digest, body: text, status: 400, code: "DIGEST_INVALID"}
				post.run(t, s)
				post.header = []string{"Content-Length: ?"}
				post.run(t, s)
				for _, parts := range [][]string{{text, ""}, {"", text}, {text[:len(text)/2], text[len(text)/2:]}} {
					session := s.start(t, "a")
					chunk(session, parts[0], "0-*").run(t, s)
					call{do: "PUT " + session + "?digest=" + digest, body: parts[1], status: 400, code: "DIGEST_INVALID"}.run(t, s)
					// A session whose bytes are wrong is of no use any more.
					call{do: "GET " + session, status: 404, code: "BLOB_UPLOAD_UNKNOWN"}.run(t, s)
				}
				call{do: "GET /v2/a/blobs/" + digest, status: 404, code: "BLOB_UNKNOWN"}.run(t, s)
			})
		}
	}
}

func TestUnknownUploads(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	session := s.start(t, "a")
	chunk(session, "text", "0-3").run(t, s)
	id := path.Base(session)
	unknown := func(as, session string) {
		t.Helper()
		for _, method := range []string{"GET", "HEAD", "PATCH", "DELETE"} {
			call{do: method + " " + session, as: as, body: "x", status: 404, code: "BLOB_UPLOAD_UNKNOWN", want: []string{"Range:", "Location:"}}.run(t, s)
		}
		call{do: "PUT " + session + "?digest=" + sha256("text"), as: as, status: 404, code: "BLOB_UPLOAD_UNKNOWN"}.run(t, s)
	}
	s.unchanged(t, func() {
		unknown("mallory", session)                 // that of another user
		unknown("", "/v2/b/blobs/uploads/"+id)      // in another repository
		unknown("", "/v2/a/b/blobs/uploads/"+id)    // in a repository below
		unknown("", session+"x")                    //
		unknown("", session[:len(session)-1])       //
		unknown("", strings.ToLower(session))       // IDs are upper case
		unknown("", "/v2/a/blobs/uploads/unknown")  //
		unknown("", "/v2/a/blobs/uploads/a-b")      // not of the form of ours
		unknown("", "/v2/a/blobs/uploads/..")       // not even a file name
		unknown("", "/v2/a/blobs/uploads/registry") //
		unknown("", "/v2/a/blobs/uploads/"+strings.Repeat("A", 65))
		for _, as := range []string{"nobody"} {
			call{do: "GET " + session, as: as, status: 401, code: "UNAUTHORIZED"}.run(t, s)
			call{do: "PATCH " + session, as: as, body: "x", status: 401, code: "UNAUTHORIZED"}.run(t, s)
		}
	})
	finish(session, "text", "").run(t, s)
}

func TestBadContentRange(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	session := s.start(t, "a")
	chunk(session, "01234", "0-4").run(t, s)
	s.unchanged(t, func() {
		for _, header := range []string{
			"bytes 5-9/10", "bytes=5-9", "5-9/10", "5", "5-", "-9", "-", "9-5", "a-b", "+5-9", "5 - 9", "0x5-9", "5-9,10-12",
			"99999999999999999999-99999999999999999999", "9223372036854775807-9223372036854775808",
		} {
			for _, do := range []string{"PATCH " + session, "PUT " + session + "?digest=" + sha256("0123456789")} {
				call{do: do, header: []string{"Content-Range: " + header}, body: "56789", status: 416, code: "BLOB_UPLOAD_INVALID"}.run(t, s)
			}
		}
		for _, test := range []struct{ name, contentRange, body, length string }{
			{"longer than the range", "5-8", "56789", ""},
			{"shorter than the range", "5-10", "56789", ""},
			{"nothing", "5-9", "", ""},
			{"longer than the range, streamed", "5-8", "56789", "?"},
			{"much longer than the range, streamed", "5-8", strings.Repeat("x", 1_000_000), "?"},
			{"shorter than the range, streamed", "5-10", "56789", "?"},
			{"nothing, streamed", "5-9", "", "?"},
		} {
			t.Run(test.name, func(t *testing.T) {
				header := []string{"Content-Range: " + test.contentRange}
				if test.length != "" {
					header = append(header, "Content-Length: "+test.length)
				}
				for _, do := range []string{"PATCH " + session, "PUT " + session + "?digest=" + sha256("0123456789")} {
					call{do: do, header: header, body: test.body, status: 400, code: "SIZE_INVALID"}.run(t, s)
					call{do: "GET " + session, status: 204, want: []string{"Range: 0-4"}}.run(t, s)
				}
			})
		}
	})
	finish(session, "0123456789", "56789", "Content-Range: 5-9").run(t, s)
}

// A user with too many unfinished uploads must end some; others may go on.
func TestTooManyUploads(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{UploadsPerOwner: 2})
	first := s.start(t, "a")
	s.start(t, "b")
	s.unchanged(t, func() {
		call{do: "POST /v2/a/blobs/uploads/", status: 429, code: "TOOMANYREQUESTS", want: []string{"Retry-After: *"}}.run(t, s)
		call{do: "POST /v2/c/blobs/uploads/?mount=" + sha256("x"), status: 429, code: "TOOMANYREQUESTS"}.run(t, s)
	})
	s.pushBlob(t, "a", "in one request")
	call{do: "POST /v2/a/blobs/uploads/", as: "mallory", status: 202}.run(t, s)
	call{do: "DELETE " + first, status: 204}.run(t, s)
	s.start(t, "a")
	call{do: "POST /v2/a/blobs/uploads/", status: 429, code: "TOOMANYREQUESTS"}.run(t, s)
}
