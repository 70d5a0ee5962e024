package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// serveBare is what net/http can do at best: content in memory, one look into a
// map, no log.
func serveBare(ctx context.Context, addr, files string) error {
	content := map[string][]byte{}
	err := filepath.WalkDir(files, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // a folder of ours
		name, relErr := filepath.Rel(files, path)
		content["/"+name] = text
		return errors.Join(err, relErr)
	})
	if err != nil {
		return err
	}
	server := &http.Server{Addr: addr, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := content[r.URL.Path]
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
	})}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// oneMiB reads the only form of a range that the bench sends.
func oneMiB(part string) (from, to int) {
	const size = 1 << 20
	var n int
	for _, c := range part[len("bytes="):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n, n + size
}

// writeFiles writes the content for servers of files, at the paths of the API.
func (b *bench) writeFiles() error {
	base := filepath.Join(b.files, "v2", repo)
	for _, dir := range []string{"manifests", "blobs"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil { //nolint:gosec // nginx reads it as another user
			return err
		}
	}
	list := map[string]io.Reader{}
	for _, blob := range append([]*blob{b.large}, b.image.blobs...) {
		list["blobs/"+blob.digest.String()] = blob.reader(0, blob.size)
	}
	for path, content := range list {
		if err := writeFrom(filepath.Join(base, path), content); err != nil {
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
