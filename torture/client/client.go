// Package client is what the torture tests ask a registry with: plain HTTP, and
// answers that say exactly what was acknowledged.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// ManifestType is the media type of what Manifest makes.
const ManifestType = "application/vnd.oci.image.manifest.v1+json"

// Client is one user of a registry. It is used by many goroutines.
type Client struct {
	URL            string // scheme, host and port
	User, Password string // no user: no credentials
	HTTP           *http.Client
}

// New returns a client with connections of its own, which end with the test.
func New(t testing.TB, url string) *Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{URL: url, HTTP: &http.Client{Transport: transport}}
}

// Answer is a response that was read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request to a path, or to a URL that the registry gave. An error
// means that no whole answer came: nobody knows what has happened.
func (c *Client) Do(ctx context.Context, method, target string, body io.Reader, headers ...string) (Answer, error) {
	if len(target) > 0 && target[0] == '/' {
		target = c.URL + target
	}
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, target, err)
	}
	if c.User != "" {
		r.SetBasicAuth(c.User, c.Password)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, target, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, target, err)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: content}, nil
}

// StatusError is an answer with another status than the one asked for.
type StatusError struct {
	What string
	Answer
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: status %d: %.300s", e.What, e.Status, e.Body)
}

// Want is Do where another status than want is a *StatusError.
func (c *Client) Want(ctx context.Context, want int, method, target string, body io.Reader, headers ...string) (Answer, error) {
	a, err := c.Do(ctx, method, target, body, headers...)
	if err == nil && a.Status != want {
		err = &StatusError{What: method + " " + target, Answer: a}
	}
	return a, err
}

// PushBlob pushes a blob as docker does: a session, a PATCH, a PUT.
func (c *Client) PushBlob(ctx context.Context, repo string, content []byte) error {
	a, err := c.Want(ctx, http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	a, err = c.Want(ctx, http.StatusAccepted, http.MethodPatch, a.Header.Get("Location"), bytes.NewReader(content))
	if err != nil {
		return err
	}
	_, err = c.Want(ctx, http.StatusCreated, http.MethodPut, a.Header.Get("Location")+"?digest="+Digest(content), nil)
	return err
}

// PushBlobAtOnce pushes a blob in one POST.
func (c *Client) PushBlobAtOnce(ctx context.Context, repo string, content []byte) error {
	_, err := c.Want(ctx, http.StatusCreated, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+Digest(content), bytes.NewReader(content))
	return err
}

// Mount lets repo hold a blob of from.
func (c *Client) Mount(ctx context.Context, repo, digest, from string) error {
	_, err := c.Want(ctx, http.StatusCreated, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?mount="+digest+"&from="+from, nil)
	return err
}

// PutManifest pushes a manifest by tag or digest.
func (c *Client) PutManifest(ctx context.Context, repo, reference string, body []byte) error {
	_, err := c.Want(ctx, http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+reference, bytes.NewReader(body), "Content-Type", ManifestType)
	return err
}

// Manifest returns the bytes of a manifest.
func (c *Client) Manifest(ctx context.Context, repo, reference string) ([]byte, error) {
	a, err := c.Want(ctx, http.StatusOK, http.MethodGet, "/v2/"+repo+"/manifests/"+reference, nil)
	return a.Body, err
}

// Blob returns the bytes of a blob.
func (c *Client) Blob(ctx context.Context, repo, digest string) ([]byte, error) {
	a, err := c.Want(ctx, http.StatusOK, http.MethodGet, "/v2/"+repo+"/blobs/"+digest, nil)
	return a.Body, err
}

// Delete deletes what kind ("manifests" or "blobs") and reference name.
func (c *Client) Delete(ctx context.Context, repo, kind, reference string) error {
	_, err := c.Want(ctx, http.StatusAccepted, http.MethodDelete, "/v2/"+repo+"/"+kind+"/"+reference, nil)
	return err
}

// Manifest returns an image manifest, like no other, whose config is the first
// of blobs and whose layers are all of them.
func Manifest(blobs ...[]byte) []byte { return ManifestWith(rand.Text(), blobs...) }

// ManifestWith is Manifest where id makes the difference between manifests of the
// same blobs.
func ManifestWith(id string, blobs ...[]byte) []byte {
	layers := make([]any, 0, len(blobs))
	for _, b := range blobs {
		layers = append(layers, map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": Digest(b), "size": len(b)})
	}
	config := map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest(blobs[0]), "size": len(blobs[0])}
	m, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ManifestType, "config": config, "layers": layers,
		"annotations": map[string]string{"id": id},
	})
	if err != nil {
		panic(err) // maps of strings
	}
	return m
}

// Digest returns the sha256 digest of content.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Random returns n random bytes.
func Random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
