package distapi_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/registry"
)

// Small blobs come from memory, large ones from files, with the same answers.
func TestBlobFromMemoryAndFromAFile(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	for _, size := range []int{1, 65_535, 65_536, 65_537, 300_000} {
		text := strings.Repeat("0123456789", size/10+1)[:size]
		s.pushBlob(t, "a", text)
		get, n := "GET /v2/a/blobs/"+sha256(text), strconv.Itoa(size)
		always := []string{
			"Docker-Content-Digest: " + sha256(text), `ETag: "` + sha256(text) + `"`, "Accept-Ranges: bytes",
			"Content-Type: application/octet-stream", "X-Content-Type-Options: nosniff",
		}
		runAll(t, s, []call{
			{name: n + ", whole", do: get, status: 200, text: text, want: append(always, "Content-Length: "+n, "Content-Range:")},
			{name: n + ", again", do: get, status: 200, text: text, want: append(always, "Content-Length: "+n, "Content-Range:")},
			{
				name: n + ", first byte", do: get, header: []string{"Range: bytes=0-0"}, status: 206, text: text[:1],
				want: append(always, "Content-Length: 1", "Content-Range: bytes 0-0/"+n),
			},
			{
				name: n + ", last byte", do: get, header: []string{"Range: bytes=-1"}, status: 206, text: text[size-1:],
				want: append(always, "Content-Length: 1", "Content-Range: bytes "+strconv.Itoa(size-1)+"-"+strconv.Itoa(size-1)+"/"+n),
			},
			{
				name: n + ", all of it", do: get, header: []string{"Range: bytes=0-"}, status: 206, text: text,
				want: append(always, "Content-Length: "+n, "Content-Range: bytes 0-"+strconv.Itoa(size-1)+"/"+n),
			},
			{
				name: n + ", behind it", do: get, header: []string{"Range: bytes=" + n + "-"}, status: 416, code: "BLOB_UPLOAD_INVALID",
				want: []string{"Content-Range: bytes */" + n},
			},
		})
	}
}

// A machine that stopped may leave a file under its last name without its content.
// Nobody has it: it cannot be read, mounted or named by a manifest; a push replaces it.
func TestAFileWithoutALinkIsNoBlob(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "{}")
	for name, damage := range map[string]string{"empty": "", "wrong": "xxxxxx", "right": "right "} {
		text := fmt.Sprintf("%-6s", name)
		file := s.plant(t, text, damage)
		d := sha256(text)
		runAll(t, s, []call{
			{name: name + ", read", do: "GET /v2/a/blobs/" + d, status: 404, code: "BLOB_UNKNOWN"},
			{name: name + ", head", do: "HEAD /v2/a/blobs/" + d, status: 404},
			{name: name + ", mounted", do: "POST /v2/a/blobs/uploads/?mount=" + d, status: 202},
			{name: name + ", mounted from a repository", do: "POST /v2/b/blobs/uploads/?from=a&mount=" + d, status: 202},
			{name: name + ", named", do: "PUT /v2/a/manifests/v1", body: image(layer(text)), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
			{name: name + ", pushed", do: "POST /v2/a/blobs/uploads/?digest=" + d, body: text, status: 201},
			{name: name + ", mounted then", do: "POST /v2/b/blobs/uploads/?from=a&mount=" + d, status: 201},
			{name: name + ", read then", do: "GET /v2/b/blobs/" + d, status: 200, text: text},
		})
		if got, err := os.ReadFile(file); string(got) != text {
			t.Errorf("%s: the file has %q after the push, %v", name, got, err)
		}
		runAll(t, s, []call{
			{name: name + ", deleted", do: "DELETE /v2/b/blobs/" + d, status: 202},
			{name: name + ", read after that", do: "GET /v2/b/blobs/" + d, status: 404, code: "BLOB_UNKNOWN"},
		})
	}
}
