package distapi_test

import (
	"testing"

	"github.com/moorgate/moorgate/internal/registry"
)

func TestMount(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "from/here", "text")
	s.pushBlob(t, "from/here", "other text")
	mounted := func(name, query, text string) call {
		return call{
			name: name, do: "POST /v2/to/blobs/uploads/?" + query, status: 201,
			want: []string{"Location: /v2/to/blobs/" + sha256(text), "Docker-Content-Digest: " + sha256(text), "Docker-Upload-UUID:"},
		}
	}
	read := func(text string) call {
		return call{name: "can be read now", do: "GET /v2/to/blobs/" + sha256(text), status: 200, text: text}
	}
	// What cannot be mounted is to be uploaded: the session works.
	upload := func(name, query, text string) {
		t.Run(name, func(t *testing.T) {
			a := call{
				do: "POST /v2/to/blobs/uploads/?" + query, status: 202,
				want: []string{"Location: /v2/to/blobs/uploads/*", "Docker-Content-Digest:"},
			}.run(t, s)
			finish(a.header.Get("Location"), text, text).run(t, s)
		})
	}
	runAll(t, s, []call{
		{name: "not there yet", do: "HEAD /v2/to/blobs/" + sha256("text"), status: 404},
		mounted("from a repository", "mount="+sha256("text")+"&from=from/here", "text"),
		read("text"),
		mounted("again", "mount="+sha256("text")+"&from=from/here", "text"),
		mounted("from itself", "mount="+sha256("text")+"&from=to", "text"),
		mounted("from anywhere", "mount="+sha256("other text"), "other text"),
		read("other text"),
	})
	upload("of unknown blob", "mount="+sha256("unknown 1")+"&from=from/here", "unknown 1")
	upload("of unknown blob from anywhere", "mount="+sha256("unknown 2"), "unknown 2")
	s.pushBlob(t, "elsewhere", "only elsewhere")
	upload("from a repository that lacks it", "mount="+sha256("only elsewhere")+"&from=from/here", "only elsewhere")
	upload("from an unknown repository", "mount="+sha256("unknown 3")+"&from=nowhere", "unknown 3")
	upload("unknown, with a digest of what would come", "mount="+sha256("unknown 4")+"&digest="+sha256("unknown 4"), "unknown 4")

	call{do: "DELETE /v2/from/here/blobs/" + sha256("text"), status: 202}.run(t, s)
	read("text").run(t, s)
	if now := s.stored(t); now.Uploads != nil || now.Sessions != nil {
		t.Errorf("something is left over: uploads %v, sessions %v", now.Uploads, now.Sessions)
	}
}

func TestMountOfWhatWasDeletedEverywhere(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	s.pushBlob(t, "a", "text")
	call{do: "DELETE /v2/a/blobs/" + sha256("text"), status: 202}.run(t, s)
	call{do: "POST /v2/b/blobs/uploads/?mount=" + sha256("text"), status: 202}.run(t, s)
	call{do: "POST /v2/b/blobs/uploads/?mount=" + sha256("text") + "&from=a", status: 202}.run(t, s)
	call{do: "GET /v2/b/blobs/" + sha256("text"), status: 404, code: "BLOB_UNKNOWN"}.run(t, s)
}
