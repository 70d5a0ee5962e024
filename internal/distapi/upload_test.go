package distapi_test

import (
	"io"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/registry"
)

// start opens an upload session and returns its URL.
func (s *server) start(t testing.TB, repo string) string {
	t.Helper()
	a := call{
		do: "POST /v2/" + repo + "/blobs/uploads/", status: 202,
		want: []string{"Location: /v2/" + repo + "/blobs/uploads/*", "Range: 0-0", "Docker-Upload-UUID: *", "Content-Length: 0"},
	}.run(t, s)
	session := a.header.Get("Location")
	if id := a.header.Get("Docker-Upload-UUID"); id != path.Base(session) {
		t.Errorf("the session is %s in Docker-Upload-UUID and %s in Location", id, session)
	}
	return session
}

// chunk appends text to a session that has the given length then.
func chunk(session, text, rangeAfter string, header ...string) call {
	return call{
		do: "PATCH " + session, header: header, body: text, status: 202,
		want: []string{"Location: " + session, "Range: " + rangeAfter, "Docker-Upload-UUID: " + path.Base(session)},
	}
}

// finish ends a session with the last part of text.
func finish(session, text, last string, header ...string) call {
	return call{
		do: "PUT " + session + "?digest=" + sha256(text), header: header, body: last, status: 201,
		want: []string{"Location: " + blobOf(session) + sha256(text), "Docker-Content-Digest: " + sha256(text), "Content-Length: 0"},
	}
}

// blobOf is the URL of the blobs of a session's repository.
func blobOf(session string) string {
	return strings.TrimSuffix(path.Dir(session), "uploads")
}

func TestUploadInOneRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	for name, c := range map[string]call{
		"with a length":  {body: "text one"},
		"streamed":       {body: "text two", header: []string{"Content-Length: ?"}},
		"of nothing":     {body: ""},
		"no media type":  {body: "text three"},
		"any media type": {body: "text four", header: []string{"Content-Type: text/html"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.do, c.status = "POST /v2/a/b/blobs/uploads/?digest="+sha256(c.body), 201
			c.want = []string{"Location: /v2/a/b/blobs/" + sha256(c.body), "Docker-Content-Digest: " + sha256(c.body), "Docker-Upload-UUID:"}
			c.run(t, s)
			call{do: "GET /v2/a/b/blobs/" + sha256(c.body), status: 200, text: c.body}.run(t, s)
		})
	}
	t.Run("without the slash at the end", func(t *testing.T) {
		call{do: "POST /v2/a/b/blobs/uploads?digest=" + sha256("slash"), body: "slash", status: 201}.run(t, s)
	})
	t.Run("again", func(t *testing.T) {
		s.unchanged(t, func() { s.pushBlob(t, "a/b", "text one") })
	})
	t.Run("in sha512", func(t *testing.T) {
		call{do: "POST /v2/a/b/blobs/uploads/?digest=" + sha512("x"), body: "x", status: 201, want: []string{"Location: /v2/a/b/blobs/" + sha512("x")}}.run(t, s)
		call{do: "GET /v2/a/b/blobs/" + sha512("x"), status: 200, text: "x", want: []string{"Docker-Content-Digest: " + sha512("x")}}.run(t, s)
		call{do: "GET /v2/a/b/blobs/" + sha256("x"), status: 404, code: "BLOB_UNKNOWN"}.run(t, s)
	})
	if now := s.stored(t); now.Uploads != nil || now.Sessions != nil {
		t.Errorf("something is left over: uploads %v, sessions %v", now.Uploads, now.Sessions)
	}
}

func TestUploadWithASession(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	for _, test := range []struct {
		name  string
		calls func(session string) []call
	}{
		{"all in the PUT", func(u string) []call { return []call{finish(u, "0123456789", "0123456789")} }},
		{"all in the PUT, streamed", func(u string) []call {
			return []call{finish(u, "0123456789", "0123456789", "Content-Length: ?")}
		}},
		{"all in one PATCH, streamed", func(u string) []call {
			return []call{chunk(u, "0123456789", "0-9", "Content-Length: ?"), finish(u, "0123456789", "")}
		}},
		{"in chunks", func(u string) []call {
			return []call{
				chunk(u, "0123", "0-3", "Content-Range: 0-3"),
				chunk(u, "45", "0-5", "Content-Range: 4-5"),
				finish(u, "0123456789", "6789", "Content-Range: 6-9"),
			}
		}},
		{"in chunks, the PUT empty", func(u string) []call {
			return []call{chunk(u, "01234", "0-4", "Content-Range: 0-4"), chunk(u, "56789", "0-9", "Content-Range: 5-9"), finish(u, "0123456789", "")}
		}},
		{"in chunks that do not say where they begin", func(u string) []call {
			return []call{chunk(u, "01234", "0-4"), chunk(u, "56789", "0-9"), finish(u, "0123456789", "")}
		}},
		{"in streamed chunks that say where they begin", func(u string) []call {
			return []call{
				chunk(u, "01234", "0-4", "Content-Range: 0-4", "Content-Length: ?"),
				finish(u, "0123456789", "56789", "Content-Range: 5-9", "Content-Length: ?"),
			}
		}},
		{"with an empty PATCH", func(u string) []call {
			return []call{chunk(u, "", "0-0"), chunk(u, "0123456789", "0-9"), chunk(u, "", "0-9"), finish(u, "0123456789", "")}
		}},
		{"of nothing", func(u string) []call { return []call{finish(u, "", "")} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			session := s.start(t, "a/b")
			calls := test.calls(session)
			for _, c := range calls {
				c.run(t, s)
			}
			last := calls[len(calls)-1]
			_, digest, _ := strings.Cut(last.do, "?digest=")
			a := call{do: "GET " + blobOf(session) + digest, status: 200}.run(t, s)
			if sha256(a.body) != digest {
				t.Errorf("the blob is %q", a.body)
			}
			call{name: "session is gone", do: "GET " + session, status: 404, code: "BLOB_UPLOAD_UNKNOWN"}.run(t, s)
			call{name: "finish again", do: last.do, status: 404, code: "BLOB_UPLOAD_UNKNOWN"}.run(t, s)
			if now := s.stored(t); now.Uploads != nil || now.Sessions != nil {
				t.Errorf("something is left over: uploads %v, sessions %v", now.Uploads, now.Sessions)
			}
		})
	}
}

func TestUploadAlgorithms(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	for name, query := range map[string]string{
		"not said": "", "empty": "?digest-algorithm=", "sha256": "?digest-algorithm=sha256", "sha512": "?digest-algorithm=sha512",
	} {
		for _, digest := range []func(string) string{sha256, sha512} {
			text := name + digest("") // a different one for each
			t.Run(name+" "+digest("")[:6], func(t *testing.T) {
				session := call{do: "POST /v2/a/blobs/uploads/" + query, status: 202}.run(t, s).header.Get("Location")
				chunk(session, text, "*").run(t, s)
				call{do: "PUT " + session + "?digest=" + digest(text), status: 201, want: []string{"Docker-Content-Digest: " + digest(text)}}.run(t, s)
				call{do: "GET /v2/a/blobs/" + digest(text), status: 200, text: text}.run(t, s)
			})
		}
	}
}

func TestUploadStatus(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	session := s.start(t, "a")
	status := func(name, method, bytes string) call {
		return call{
			name: name, do: method + " " + session, status: 204,
			want: []string{"Location: " + session, "Range: " + bytes, "Docker-Upload-UUID: " + path.Base(session)},
		}
	}
	runAll(t, s, []call{
		status("nothing yet", "GET", "0-0"),
		status("nothing yet, HEAD", "HEAD", "0-0"),
		chunk(session, "0", "0-0"),
		status("one byte", "GET", "0-0"),
		chunk(session, "123", "0-3"),
		status("four bytes", "GET", "0-3"),
		status("four bytes, HEAD", "HEAD", "0-3"),
		finish(session, "0123", ""),
		{name: "finished", do: "GET " + session, status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
	})
}

func TestUploadOutOfOrder(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	session := s.start(t, "a")
	chunk(session, "01234", "0-4").run(t, s)
	refused := func(name, method, contentRange string) call {
		return call{
			name: name, do: method + " " + session + "?digest=" + sha256("0123456789"), body: "56789",
			header: []string{"Content-Range: " + contentRange}, status: 416, code: "BLOB_UPLOAD_INVALID",
			want: []string{"Location: " + session, "Range: 0-4"},
		}
	}
	s.unchanged(t, func() {
		runAll(t, s, []call{
			refused("a gap", "PATCH", "6-10"),
			refused("a gap in the PUT", "PUT", "6-10"),
			refused("again", "PATCH", "0-4"),
			refused("overlap", "PATCH", "4-8"),
			refused("far away", "PATCH", "4611686018427387000-4611686018427387004"),
		})
	})
	finish(session, "0123456789", "56789", "Content-Range: 5-9").run(t, s)
}

func TestUploadCancel(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	for _, texts := range [][]string{nil, {"some"}, {"some", strings.Repeat("more", 100_000)}} {
		s.unchanged(t, func() {
			session := s.start(t, "a")
			for _, text := range texts {
				chunk(session, text, "0-*").run(t, s)
			}
			call{do: "DELETE " + session, status: 204}.run(t, s)
			for _, method := range []string{"GET", "PATCH", "DELETE"} {
				call{do: method + " " + session, status: 404, code: "BLOB_UPLOAD_UNKNOWN"}.run(t, s)
			}
			call{do: "PUT " + session + "?digest=" + sha256(strings.Join(texts, "")), status: 404, code: "BLOB_UPLOAD_UNKNOWN"}.run(t, s)
		})
	}
}

// A second request that writes to a session is turned away while the first one
// runs, and the first one wins.
func TestUploadOneWriterAtATime(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	session := s.start(t, "a")
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.URL+session, body)
	if err != nil {
		t.Fatal(err)
	}
	call{}.sign(req)
	first := make(chan answer, 1)
	go func() {
		defer close(first)
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		first <- readAnswer(t, resp)
	}()
	send.Write([]byte("01234")) //nolint:errcheck // the answer to the request tells
	await(t, "the upload has begun", func() bool { return len(s.files(t, "uploads")) > 0 })
	busy := func(name, do string) call {
		return call{name: name, do: do, body: "other", status: 409, code: "BLOB_UPLOAD_INVALID", want: []string{"Retry-After: *"}}
	}
	runAll(t, s, []call{
		busy("append", "PATCH "+session),
		busy("finish", "PUT "+session+"?digest="+sha256("other")),
		busy("cancel", "DELETE "+session),
		{name: "look", do: "GET " + session, status: 204},
	})
	send.Write([]byte("56789")) //nolint:errcheck // the answer to the request tells
	send.Close()                //nolint:errcheck // it never fails
	if a := <-first; a.status != http.StatusAccepted || a.header.Get("Range") != "0-9" {
		t.Errorf("the first writer gets %d and Range %s", a.status, a.header.Get("Range"))
	}
	finish(session, "0123456789", "").run(t, s)
}
