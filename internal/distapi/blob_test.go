package distapi_test

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/registry"
)

func TestBlobRead(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	const text = "0123456789"
	s.pushBlob(t, "a/b", text)
	s.pushBlob(t, "other", "of another repository")
	blob, etag := "/v2/a/b/blobs/"+sha256(text), `"`+sha256(text)+`"`
	always := []string{"Docker-Content-Digest: " + sha256(text), "ETag: " + etag, "Content-Type: application/octet-stream"}
	runAll(t, s, []call{
		{name: "whole", do: "GET " + blob, status: 200, text: text, want: append(always, "Content-Length: 10", "Accept-Ranges: bytes")},
		{name: "head", do: "HEAD " + blob, status: 200, want: append(always, "Content-Length: 10", "Accept-Ranges: bytes")},
		{name: "head ignores a range", do: "HEAD " + blob, header: []string{"Range: bytes=100-"}, status: 200, want: append(always, "Content-Length: 10")},
		{name: "colon encoded", do: "GET " + strings.Replace(blob, "sha256:", "sha256%3A", 1), status: 200, text: text, want: always},
		{name: "colon encoded in lower case", do: "GET " + strings.Replace(blob, "sha256:", "sha256%3a", 1), status: 200, text: text, want: always},
		{name: "unknown", do: "GET /v2/a/b/blobs/" + sha256("unknown"), status: 404, code: "BLOB_UNKNOWN", want: []string{"Docker-Content-Digest:"}},
		{name: "head of unknown", do: "HEAD /v2/a/b/blobs/" + sha256("unknown"), status: 404},
		{name: "unknown repository", do: "GET /v2/nowhere/blobs/" + sha256(text), status: 404, code: "BLOB_UNKNOWN"},
		{name: "only in another repository", do: "GET /v2/a/b/blobs/" + sha256("of another repository"), status: 404, code: "BLOB_UNKNOWN"},
		{name: "only in another repository, head", do: "HEAD /v2/a/b/blobs/" + sha256("of another repository"), status: 404},
		{name: "range of unknown", do: "GET /v2/a/b/blobs/" + sha256("unknown"), header: []string{"Range: bytes=0-1"}, status: 404, code: "BLOB_UNKNOWN"},
		{name: "not modified", do: "GET " + blob, header: []string{"If-None-Match: " + etag}, status: 304, want: []string{"ETag: " + etag, "Content-Length:", "Content-Type:"}},
		{name: "not modified, weak in a list", do: "GET " + blob, header: []string{`If-None-Match: "x", W/` + etag}, status: 304},
		{name: "not modified, any", do: "HEAD " + blob, header: []string{"If-None-Match: *"}, status: 304},
		{name: "not modified goes before range", do: "GET " + blob, header: []string{"If-None-Match: " + etag, "Range: bytes=100-"}, status: 304},
		{name: "If-Match holds", do: "GET " + blob, header: []string{`If-Match: "x", ` + etag}, status: 200, text: text},
		{name: "If-Match of any", do: "GET " + blob, header: []string{"If-Match: *"}, status: 200, text: text},
		{name: "If-Match of something else", do: "GET " + blob, header: []string{`If-Match: "x"`}, status: 412, code: "MANIFEST_INVALID", want: []string{"Cache-Control:"}},
		{name: "If-Match of something else, head", do: "HEAD " + blob, header: []string{`If-Match: "x"`}, status: 412},
		{name: "If-Match of something else goes before the rest", do: "GET " + blob, header: []string{`If-Match: "x"`, "If-None-Match: *", "Range: bytes=99-"}, status: 412, code: "MANIFEST_INVALID"},
		{name: "If-Match of unknown", do: "GET /v2/other/blobs/" + sha256(text), header: []string{`If-Match: "x"`}, status: 404, code: "BLOB_UNKNOWN"},
		{name: "dates are not looked at", do: "GET " + blob, header: []string{"If-Unmodified-Since: Tue, 01 Jan 1980 00:00:00 GMT", "If-Modified-Since: Tue, 01 Jan 2080 00:00:00 GMT"}, status: 200, text: text},
		{name: "modified", do: "GET " + blob, header: []string{`If-None-Match: "sha256:0"`}, status: 200, text: text},
		{name: "unknown although the client has it", do: "GET /v2/other/blobs/" + sha256(text), header: []string{"If-None-Match: " + etag}, status: 404, code: "BLOB_UNKNOWN"},
		{name: "unknown whatever the client has", do: "HEAD /v2/other/blobs/" + sha256(text), header: []string{"If-None-Match: *"}, status: 404},
	})
}

func TestBlobRanges(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	const text = "0123456789"
	s.pushBlob(t, "a", text)
	s.pushBlob(t, "a", "")
	get, etag := "GET /v2/a/blobs/"+sha256(text), `"`+sha256(text)+`"`
	part := func(spec, text, contentRange string) call {
		return call{name: spec, do: get, header: []string{"Range: bytes=" + spec}, status: 206, text: text, want: []string{
			"Content-Range: " + contentRange, "Docker-Content-Digest: " + sha256("0123456789"), "ETag: " + etag,
		}}
	}
	whole := func(name string, header ...string) call {
		return call{name: name, do: get, header: header, status: 200, text: text, want: []string{"Content-Range:"}}
	}
	refused := func(spec string) call {
		return call{
			name: "refused " + spec, do: get, header: []string{"Range: bytes=" + spec}, status: 416, code: "BLOB_UPLOAD_INVALID",
			want: []string{"Content-Range: bytes */10", "Cache-Control:", "ETag:"},
		}
	}
	runAll(t, s, []call{
		part("0-0", "0", "bytes 0-0/10"),
		part("2-4", "234", "bytes 2-4/10"),
		part("7-", "789", "bytes 7-9/10"),
		part("-3", "789", "bytes 7-9/10"),
		part("-99", text, "bytes 0-9/10"),
		part("8-99", "89", "bytes 8-9/10"),
		part("0-9", text, "bytes 0-9/10"),
		part(" 1-1 ", "1", "bytes 1-1/10"),
		part("1-1,99-", "1", "bytes 1-1/10"),
		part("-0,1-1", "1", "bytes 1-1/10"),
		refused("10-"),
		refused("99-100"),
		refused("-0"),
		refused("10-,-0"),
		refused("4-2"),
		refused("a-b"),
		refused("1"),
		refused("-"),
		refused(""),
		refused("1-2,"),
		refused("--1"),
		refused("+1-2"),
		refused("0x1-2"),
		refused("99999999999999999999-"),
		whole("unknown unit", "Range: items=0-1"),
		whole("no unit", "Range: 0-1"),
		whole("more ranges than we serve", "Range: bytes=0-0"+strings.Repeat(",0-0", 16)),
		whole("ranges that overlap to more than the whole", "Range: bytes=0-9,0-9"),
		whole("If-Range with another tag", "Range: bytes=0-1", `If-Range: "other"`),
		whole("If-Range with a weak tag", "Range: bytes=0-1", "If-Range: W/"+etag),
		whole("If-Range with a date", "Range: bytes=0-1", "If-Range: Tue, 01 Jan 2030 00:00:00 GMT"),
		whole("If-Range that fails makes a range nobody can satisfy go away", "Range: bytes=99-", `If-Range: "other"`),
		whole("If-Range that fails makes a malformed range go away", "Range: bytes=x", `If-Range: "other"`),
		{name: "If-Range holds", do: get, header: []string{"Range: bytes=0-1", "If-Range: " + etag}, status: 206, text: "01"},
		{name: "If-Range holds but the range does not", do: get, header: []string{"Range: bytes=99-", "If-Range: " + etag}, status: 416, code: "BLOB_UPLOAD_INVALID"},
		{
			name: "of nothing", do: "GET /v2/a/blobs/" + sha256(""), header: []string{"Range: bytes=0-"},
			status: 416, code: "BLOB_UPLOAD_INVALID", want: []string{"Content-Range: bytes */0"},
		},
		{name: "nothing as a whole", do: "GET /v2/a/blobs/" + sha256(""), status: 200, want: []string{"Content-Length: 0"}},
	})
}

func TestBlobSeveralRanges(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	text := strings.Repeat("0123456789", 100)
	s.pushBlob(t, "a", text)
	a := call{
		do: "GET /v2/a/blobs/" + sha256(text), header: []string{"Range: bytes=0-1, 5-6,-0,9999-, -2"}, status: 206,
		want: []string{"Content-Type: multipart/byteranges; boundary=*", "Docker-Content-Digest: " + sha256(text)},
	}.run(t, s)
	_, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := multipart.NewReader(strings.NewReader(a.body), params["boundary"]); ; {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		got[part.Header.Get("Content-Range")] = string(body)
	}
	want := map[string]string{"bytes 0-1/1000": "01", "bytes 5-6/1000": "56", "bytes 998-999/1000": "89"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func TestBlobDelete(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "text")
	s.pushBlob(t, "b", "text")
	runAll(t, s, []call{
		{name: "unknown", do: "DELETE /v2/a/blobs/" + sha256("unknown"), status: 404, code: "BLOB_UNKNOWN"},
		{name: "unknown repository", do: "DELETE /v2/nowhere/blobs/" + sha256("text"), status: 404, code: "BLOB_UNKNOWN"},
		{name: "delete", do: "DELETE /v2/a/blobs/" + sha256("text"), status: 202},
		{name: "again", do: "DELETE /v2/a/blobs/" + sha256("text"), status: 404, code: "BLOB_UNKNOWN"},
		{name: "gone", do: "GET /v2/a/blobs/" + sha256("text"), status: 404, code: "BLOB_UNKNOWN"},
		{name: "still in the other repository", do: "GET /v2/b/blobs/" + sha256("text"), status: 200, text: "text"},
	})
}

func TestDeletingSwitchedOff(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{NoDelete: true})
	manifest := s.pushImage(t, "a", "v1", "layer")
	s.unchanged(t, func() {
		runAll(t, s, []call{
			{name: "blob", do: "DELETE /v2/a/blobs/" + sha256("layer"), status: 405, code: "UNSUPPORTED", want: []string{"Allow: GET, HEAD"}},
			{name: "tag", do: "DELETE /v2/a/manifests/v1", status: 405, code: "UNSUPPORTED", want: []string{"Allow: GET, HEAD, PUT"}},
			{name: "manifest", do: "DELETE /v2/a/manifests/" + sha256(manifest), status: 405, code: "UNSUPPORTED", want: []string{"Allow: GET, HEAD, PUT"}},
		})
	})
	start := call{do: "POST /v2/a/blobs/uploads/", status: 202}.run(t, s)
	call{do: "DELETE " + start.header.Get("Location"), status: 204}.run(t, s) // a cancel deletes nothing that was stored
}
