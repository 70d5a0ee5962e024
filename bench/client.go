package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// client pushes and pulls as docker does, and no more.
type client struct {
	base   string // http://host:port
	header http.Header
	http   *http.Client
}

func newClient(base string, header http.Header, secure *tls.Config) *client {
	return &client{base: base, header: header, http: &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: 64, WriteBufferSize: 256 << 10, ReadBufferSize: 256 << 10, DisableCompression: true,
		DialContext: (&net.Dialer{}).DialContext, TLSClientConfig: secure, // HTTP/1.1, as over plain TCP
	}}}
}

// do sends a request whose answer must have the status want, and returns its
// headers. The body goes to out; nil is nowhere.
func (c *client) do(ctx context.Context, want int, method, path string, body io.Reader, size int64, header http.Header, out io.Writer) (http.Header, error) {
	target, err := url.Parse(c.base)
	if err != nil {
		return nil, err
	}
	if target, err = target.Parse(path); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	r.ContentLength = size
	for _, h := range []http.Header{c.header, header} {
		for name, values := range h {
			r.Header[name] = values
		}
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // as far as it comes
		return nil, fmt.Errorf("%s %s: %s: %s", method, target.Path, resp.Status, said)
	}
	if out == nil {
		out = io.Discard
	}
	_, err = io.Copy(out, resp.Body)
	return resp.Header, err
}

// session begins an upload and returns where it is.
func (c *client) session(ctx context.Context, repo string) (*url.URL, error) {
	h, err := c.do(ctx, http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", http.NoBody, 0, nil, nil)
	if err != nil {
		return nil, err
	}
	return url.Parse(h.Get("Location"))
}

// pushBlob pushes by POST and PUT. With a chunk size it does so by PATCH, chunk
// after chunk; docker has one chunk for all.
func (c *client) pushBlob(ctx context.Context, repo string, b *blob, chunk int64) error {
	at, err := c.session(ctx, repo)
	if err != nil {
		return err
	}
	for offset := int64(0); chunk > 0 && offset < b.size; offset += chunk {
		size := min(chunk, b.size-offset)
		header := http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", offset, offset+size-1)},
		}
		h, err := c.do(ctx, http.StatusAccepted, http.MethodPatch, at.String(), b.reader(offset, size), size, header, nil)
		if err != nil {
			return err
		}
		if at, err = url.Parse(h.Get("Location")); err != nil {
			return err
		}
	}
	q := at.Query()
	q.Set("digest", b.digest.String())
	at.RawQuery = q.Encode()
	body, size := io.Reader(http.NoBody), int64(0)
	if chunk == 0 {
		body, size = b.reader(0, b.size), b.size
	}
	_, err = c.do(ctx, http.StatusCreated, http.MethodPut, at.String(), body, size, http.Header{"Content-Type": {"application/octet-stream"}}, nil)
	return err
}

// errMissing says that a blob is not there.
var errMissing = errors.New("no such blob")

// hasBlob asks as docker does before it pushes one.
func (c *client) hasBlob(ctx context.Context, repo string, b *blob) error {
	_, err := c.do(ctx, http.StatusOK, http.MethodHead, "/v2/"+repo+"/blobs/"+b.digest.String(), http.NoBody, 0, nil, nil)
	if err != nil {
		return errors.Join(errMissing, err)
	}
	return nil
}

// mount takes a blob over from another repository.
func (c *client) mount(ctx context.Context, repo, from string, b *blob) error {
	q := url.Values{"mount": {b.digest.String()}, "from": {from}}
	_, err := c.do(ctx, http.StatusCreated, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?"+q.Encode(), http.NoBody, 0, nil, nil)
	return err
}

// pushManifest sets a tag, or more of them by a query.
func (c *client) pushManifest(ctx context.Context, repo, reference string, manifest []byte) error {
	return c.pushTyped(ctx, repo, reference, v1.MediaTypeImageManifest, manifest)
}

func (c *client) pushTyped(ctx context.Context, repo, reference, mediaType string, manifest []byte) error {
	header := http.Header{"Content-Type": {mediaType}}
	_, err := c.do(ctx, http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+reference, bytes.NewReader(manifest), int64(len(manifest)), header, nil)
	return err
}

// pushImage pushes an image as docker does: it looks whether a layer is there,
// pushes those that are not, and then the manifest.
func (c *client) pushImage(ctx context.Context, repo, tag string, im *image) error {
	for _, b := range im.blobs {
		err := c.hasBlob(ctx, repo, b)
		if errors.Is(err, errMissing) {
			err = c.pushBlob(ctx, repo, b, 0)
		}
		if err != nil {
			return err
		}
	}
	return c.pushManifest(ctx, repo, tag, im.manifest)
}

// pullBlob reads a blob, or a part of it.
func (c *client) pullBlob(ctx context.Context, repo string, b *blob, part string) error {
	header, want := http.Header{}, http.StatusOK
	if part != "" {
		header.Set("Range", part)
		want = http.StatusPartialContent
	}
	var n counter
	_, err := c.do(ctx, want, http.MethodGet, "/v2/"+repo+"/blobs/"+b.digest.String(), http.NoBody, 0, header, &n)
	if err == nil && part == "" && int64(n) != b.size {
		err = fmt.Errorf("blob of %d bytes came as %d", b.size, n)
	}
	return err
}

// counter counts what is written to it.
type counter int64

func (n *counter) Write(p []byte) (int, error) { *n += counter(len(p)); return len(p), nil }

// ReadFrom reads with a buffer that needs few system calls.
func (n *counter) ReadFrom(r io.Reader) (int64, error) {
	buf := make([]byte, 512<<10)
	var total int64
	for {
		k, err := r.Read(buf)
		total += int64(k)
		if errors.Is(err, io.EOF) {
			*n += counter(total)
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
