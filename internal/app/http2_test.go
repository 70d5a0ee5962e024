package app_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// TestIdleStreamsAreCutOverHTTP2: many requests share a connection there, so
// only the one that rests may be cut.
func TestIdleStreamsAreCutOverHTTP2(t *testing.T) {
	t.Parallel()
	made := pair(t, t.TempDir())
	content := randomBytes(16 << 20) // more than a stream may have on its way
	s := startImpatient(t, content, "--tls-cert", made.Cert, "--tls-key", made.Key)
	c := newClient(t, s, trust(t, made.CACert))
	path := "/v2/app/blobs/" + digestOf(content)
	session := c.session(t, "app")

	r, err := c.request(t.Context(), http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	unread, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Body.Close()
	if unread.ProtoMajor != 2 {
		t.Fatalf("the download runs over %s, want HTTP/2", unread.Proto)
	}
	stalled, body := io.Pipe()
	go func() { _, _ = body.Write(randomBytes(1000)) }() // and no more
	a, err := c.try(t.Context(), http.MethodPatch, session, stalled)
	_ = body.Close()
	if err == nil && a.status != http.StatusBadRequest {
		t.Errorf("a stalled body is answered %d, want 400 or none", a.status)
	}
	logged(t, s, "msg=request", "method=GET", "path="+path)
	if n, err := io.Copy(io.Discard, unread.Body); err == nil {
		t.Errorf("an answer that was not read came to its end, %d bytes", n)
	}
	eventually(t, "the blob, read by a client that reads", func() bool { // a slow machine may be cut, too
		a, err := c.try(t.Context(), http.MethodGet, path, nil)
		return err == nil && bytes.Equal(a.body, content)
	})
	c.want(t, http.StatusNoContent, http.MethodGet, session, nil)
}
