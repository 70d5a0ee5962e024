package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// bareOptions are those of the bare handler.
type bareOptions struct {
	files     string
	cert, key string // "" without TLS
}

// bare is what net/http can do at best: content in memory, one look into a map, no
// log. What is pushed is read and forgotten.
type bare map[string][]byte

// serveBare prints where it listens as moorgate does.
func serveBare(ctx context.Context, o bareOptions, out io.Writer) error {
	content, err := readContent(o.files)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", anyAddr)
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: content}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprintf(out, "msg=listening url=http://%s\n", l.Addr())
	if o.cert != "" {
		err = server.ServeTLS(l, o.cert, o.key)
	} else {
		err = server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func readContent(files string) (bare, error) {
	content := bare{}
	err := filepath.WalkDir(files, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // a folder of ours
		name, relErr := filepath.Rel(files, path)
		content["/"+name] = text
		return errors.Join(err, relErr)
	})
	return content, err
}

// ServeHTTP implements http.Handler.
func (c bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		c.pull(w, r)
		return
	}
	forget(r)
	switch {
	case r.Method == http.MethodPut, r.URL.Query().Has("mount"):
		w.WriteHeader(http.StatusCreated)
	default:
		w.Header().Set("Location", strings.TrimSuffix(r.URL.Path, "/session")+"/session")
		w.WriteHeader(http.StatusAccepted)
	}
}

// forget reads a body: a large one in large steps.
func forget(r *http.Request) {
	const large = 256 << 10
	if r.ContentLength < large {
		_, _ = io.Copy(io.Discard, r.Body) // the client may be gone
		return
	}
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, large)) // as above
}

func (c bare) pull(w http.ResponseWriter, r *http.Request) {
	body, ok := c[r.URL.Path]
	from, to := 0, len(body)
	if part := r.Header.Get("Range"); ok && part != "" {
		from, to = oneMiB(part)
		w.Header().Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(to-1)+"/"+strconv.Itoa(len(body)))
	}
	if !ok || from > to || to > len(body) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	w.Header().Set("Content-Type", "application/octet-stream")
	if to-from < len(body) {
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(body[from:to]) // the client may be gone
}

// oneMiB reads the only form of a range that the bench sends.
func oneMiB(part string) (from, to int) {
	first, _, _ := strings.Cut(strings.TrimPrefix(part, "bytes="), "-")
	from, _ = strconv.Atoi(first) // anything else is 0
	return from, from + 1<<20
}

// writeFiles writes the content for servers of files, at the paths of the API.
func (b *bench) writeFiles() error {
	base := filepath.Join(b.files, "v2", repo)
	for _, dir := range []string{"manifests", "blobs"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil { //nolint:gosec // nginx reads it as another user
			return err
		}
	}
	for _, blob := range append([]*blob{b.large, b.medium}, b.image.blobs...) {
		if err := writeFrom(filepath.Join(base, "blobs", blob.digest.String()), blob.reader(0, blob.size)); err != nil {
			return err
		}
	}
	for _, reference := range []string{tag, b.image.digest().String()} {
		if err := os.WriteFile(filepath.Join(base, "manifests", reference), b.image.manifest, 0o644); err != nil { //nolint:gosec // nginx reads it as another user
			return err
		}
	}
	return nil
}

func writeFrom(path string, content io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
