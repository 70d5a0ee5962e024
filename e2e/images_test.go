package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout is an OCI image layout on disk, made here so that no test needs an
// image from elsewhere. The same calls make the same bytes.
type layout struct {
	dir   string
	index v1.Index
}

// newLayout makes an empty layout in a new directory.
func newLayout(t *testing.T) *layout {
	t.Helper()
	l := &layout{dir: t.TempDir(), index: v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}}
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs", "sha256"), 0o750); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(l.dir, v1.ImageLayoutFile), `{"imageLayoutVersion":"1.0.0"}`)
	return l
}

// tag writes d into index.json under name.
func (l *layout) tag(t *testing.T, d v1.Descriptor, name string) {
	t.Helper()
	d.Annotations = map[string]string{v1.AnnotationRefName: name}
	l.index.Manifests = append(l.index.Manifests, d)
	writeFile(t, filepath.Join(l.dir, v1.ImageIndexFile), string(asJSON(t, l.index)))
}

// blob returns the content of a blob.
func (l *layout) blob(t *testing.T, d digest.Digest) []byte {
	t.Helper()
	return readFile(t, filepath.Join(l.dir, "blobs", "sha256", d.Encoded()))
}

// add stores a blob.
func (l *layout) add(t *testing.T, mediaType string, content []byte) v1.Descriptor {
	t.Helper()
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	writeFile(t, filepath.Join(l.dir, "blobs", "sha256", d.Digest.Encoded()), string(content))
	return d
}

// image stores an image for linux/arch that prints text when it is run, and
// returns the descriptor of its manifest.
func (l *layout) image(t *testing.T, arch, text string) v1.Descriptor {
	t.Helper()
	base, baseID := tarball(t, "bin/busybox", readFile(t, busybox(t)))
	hello, helloID := tarball(t, "hello.txt", []byte(text))
	layers := []v1.Descriptor{
		l.add(t, v1.MediaTypeImageLayerGzip, base),
		l.add(t, v1.MediaTypeImageLayerGzip, hello),
	}
	platform := v1.Platform{Architecture: arch, OS: "linux"}
	config := v1.Image{
		Platform: platform,
		Config:   v1.ImageConfig{Cmd: []string{"/bin/busybox", "cat", "/hello.txt"}},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{baseID, helloID}},
	}
	d := l.manifest(t, l.add(t, v1.MediaTypeImageConfig, asJSON(t, config)), layers...)
	d.Platform = &platform
	return d
}

// manifest stores the manifest of an image.
func (l *layout) manifest(t *testing.T, config v1.Descriptor, layers ...v1.Descriptor) v1.Descriptor {
	t.Helper()
	return l.add(t, v1.MediaTypeImageManifest, asJSON(t, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: config, Layers: layers,
	}))
}

// multiArch stores an index of two images, one of them for this machine, both
// of which print text.
func (l *layout) multiArch(t *testing.T, text string) v1.Descriptor {
	t.Helper()
	return l.add(t, v1.MediaTypeImageIndex, asJSON(t, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{
			l.image(t, runtime.GOARCH, text),
			l.image(t, "riscv64", text),
		},
	}))
}

// big stores an image with one layer of size random bytes.
func (l *layout) big(t *testing.T, size int64) v1.Descriptor {
	t.Helper()
	path := filepath.Join(l.dir, "layer")
	layer := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: writeNoise(t, path, size), Size: size}
	if err := os.Rename(path, filepath.Join(l.dir, "blobs", "sha256", layer.Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
	config := v1.Image{
		Platform: v1.Platform{Architecture: runtime.GOARCH, OS: "linux"},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	}
	return l.manifest(t, l.add(t, v1.MediaTypeImageConfig, asJSON(t, config)), layer)
}

// tarball returns a layer with one executable file, and the digest of its
// uncompressed form.
func tarball(t *testing.T, name string, content []byte) ([]byte, digest.Digest) {
	t.Helper()
	var packed bytes.Buffer
	plain := sha256.New()
	zip := gzip.NewWriter(&packed)
	w := tar.NewWriter(io.MultiWriter(plain, zip))
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes(), digest.NewDigest(digest.SHA256, plain)
}

// writeNoise writes size bytes that do not compress, always the same ones for
// one size, and returns their digest.
func writeNoise(t *testing.T, path string, size int64) digest.Digest {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	noise := io.LimitReader(rand.NewChaCha8([32]byte{byte(size >> 20)}), size)
	if _, err := io.Copy(io.MultiWriter(file, hash), noise); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return digest.NewDigest(digest.SHA256, hash)
}

// busybox returns the path of the statically linked busybox of
// busybox-static.
func busybox(t *testing.T) string {
	t.Helper()
	return program(t, "busybox")
}
