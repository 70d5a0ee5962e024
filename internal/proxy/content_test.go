package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const (
	imageType = "Content-Type: application/vnd.oci.image.manifest.v1+json"
	indexType = "Content-Type: application/vnd.oci.image.index.v1+json"
)

func digestOf(s string) string { return digest.FromString(s).String() }

// pushBlob pushes a blob in the way of docker: POST, PATCH, PUT.
func (g *gateway) pushBlob(t testing.TB, user, repo, content string) string {
	t.Helper()
	at := g.want(t, http.StatusAccepted, user, "POST /v2/"+repo+"/blobs/uploads/", "").header.Get("Location")
	at = g.want(t, http.StatusAccepted, user, "PATCH "+at, content, "Content-Type: application/octet-stream").header.Get("Location")
	d := digestOf(content)
	a := g.want(t, http.StatusCreated, user, "PUT "+at+"?digest="+d, "")
	if got, want := a.header.Get("Location"), "/v2/"+repo+"/blobs/"+d; got != want {
		t.Errorf("Location is %q, want %q", got, want)
	}
	return d
}

// image is a manifest of an image with one blob.
func image(blob string, size int, note string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[],"annotations":{"note":%q}}`, blob, size, note)
}

// index is an index of manifests.
func index(manifests ...string) string {
	entries := make([]string, len(manifests))
	for i, m := range manifests {
		entries[i] = fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d}`, digestOf(m), len(m))
	}
	return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + strings.Join(entries, ",") + `]}`
}

// pushImage pushes a blob and an image with it, and returns the manifest.
func (g *gateway) pushImage(t testing.TB, user, repo, reference, note string) string {
	t.Helper()
	content := "config of " + note
	m := image(g.pushBlob(t, user, repo, content), len(content), note)
	if reference == "" {
		reference = digestOf(m)
	}
	g.want(t, http.StatusCreated, user, "PUT /v2/"+repo+"/manifests/"+reference, m, imageType)
	return m
}

func TestARegistryBehindTheGatewayWorksAsARegistry(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	m := g.pushImage(t, "alice", "shared/app", "latest", "one")
	for _, ref := range []string{"latest", digestOf(m)} {
		a := g.want(t, http.StatusOK, "alice", "GET /v2/shared/app/manifests/"+ref, "")
		if a.body != m {
			t.Errorf("manifest %s is %q, want %q", ref, a.body, m)
		}
		head := g.want(t, http.StatusOK, "alice", "HEAD /v2/shared/app/manifests/"+ref, "")
		if got := head.header.Get("Docker-Content-Digest"); got != digestOf(m) {
			t.Errorf("digest of %s is %q", ref, got)
		}
	}
	blob := "/v2/shared/app/blobs/" + digestOf("config of one")
	if a := g.want(t, http.StatusOK, "alice", "GET "+blob, ""); a.body != "config of one" {
		t.Errorf("blob is %q", a.body)
	}
	if a := g.want(t, http.StatusPartialContent, "alice", "GET "+blob, "", "Range: bytes=0-5"); a.body != "config" || a.header.Get("Content-Range") != "bytes 0-5/13" {
		t.Errorf("part is %q, %v", a.body, a.header)
	}
	g.want(t, http.StatusOK, "alice", "GET /v2/", "")
	g.want(t, http.StatusOK, "alice", "GET /v2/shared/app/referrers/"+digestOf(m), "")
	g.want(t, http.StatusNotFound, "mallory", "GET /v2/private/app/manifests/latest", "")
	g.want(t, http.StatusUnauthorized, "", "GET /v2/shared/app/manifests/latest", "")
	g.want(t, http.StatusAccepted, "alice", "DELETE /v2/shared/app/manifests/latest", "")
	g.want(t, http.StatusNotFound, "alice", "GET /v2/shared/app/manifests/latest", "")
	if err := g.handler.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUploadsInOnePieceAndInChunks(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	d := digestOf("whole")
	a := g.want(t, http.StatusCreated, "alice", "POST /v2/shared/app/blobs/uploads/?digest="+d, "whole")
	if got := a.header.Get("Location"); got != "/v2/shared/app/blobs/"+d {
		t.Errorf("Location is %q", got)
	}
	at := g.want(t, http.StatusAccepted, "alice", "POST /v2/shared/app/blobs/uploads/", "").header.Get("Location")
	at = g.want(t, http.StatusAccepted, "alice", "PATCH "+at, "ab", "Content-Range: 0-1").header.Get("Location")
	g.want(t, http.StatusRequestedRangeNotSatisfiable, "alice", "PATCH "+at, "ab", "Content-Range: 0-1")
	a = g.want(t, http.StatusNoContent, "alice", "GET "+at, "")
	if got := a.header.Get("Range"); got != "0-1" {
		t.Errorf("Range is %q", got)
	}
	at = g.want(t, http.StatusAccepted, "alice", "PATCH "+a.header.Get("Location"), "cd", "Content-Range: 2-3").header.Get("Location")
	g.want(t, http.StatusCreated, "alice", "PUT "+at+"?digest="+digestOf("abcdef"), "ef")
	at = g.want(t, http.StatusAccepted, "alice", "POST /v2/shared/app/blobs/uploads/", "").header.Get("Location")
	g.want(t, http.StatusNoContent, "alice", "DELETE "+at, "")
	g.want(t, http.StatusNotFound, "alice", "PATCH "+at, "x")
}
