package crash

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/world"
)

// image is an image, or an index of images, that no other test has.
type image struct {
	top       v1.Descriptor // what a tag points to
	blobs     map[string][]byte
	manifests map[string][]byte
	uses      map[string][]string // by manifest: what it names
}

// note lets a world hold the image under a tag.
func (i *image) note(x *world.World, tag string) {
	for _, content := range i.blobs {
		x.AddBlob(content)
	}
	for d, body := range i.manifests {
		x.AddManifest(body, "", i.uses[d]...)
	}
	x.Tags[tag] = string(i.top.Digest)
}

// newImage makes an image with a layer of size random bytes, and a small one.
func newImage(size int) *image {
	i := &image{blobs: map[string][]byte{}, manifests: map[string][]byte{}, uses: map[string][]string{}}
	i.top = i.add(runtime.GOARCH, size)
	return i
}

// newIndex makes an index of two images.
func newIndex(size int) *image {
	i := newImage(size)
	parts := []v1.Descriptor{i.top, i.add("riscv64", size)}
	i.top = i.manifest(v1.MediaTypeImageIndex, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: parts,
	}, parts...)
	return i
}

func (i *image) add(arch string, size int) v1.Descriptor {
	var layers []v1.Descriptor
	config := v1.Image{Platform: v1.Platform{Architecture: arch, OS: "linux"}, RootFS: v1.RootFS{Type: "layers"}}
	for _, n := range []int{size, 100} {
		packed, plain := layer(client.Random(n))
		layers = append(layers, i.blob(v1.MediaTypeImageLayerGzip, packed))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, plain)
	}
	c := i.blob(v1.MediaTypeImageConfig, asJSON(config))
	d := i.manifest(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: c, Layers: layers,
	}, append(layers, c)...)
	d.Platform = &config.Platform
	return d
}

func (i *image) blob(mediaType string, content []byte) v1.Descriptor {
	d := descriptor(mediaType, content)
	i.blobs[string(d.Digest)] = content
	return d
}

func (i *image) manifest(mediaType string, m any, uses ...v1.Descriptor) v1.Descriptor {
	body := asJSON(m)
	d := descriptor(mediaType, body)
	i.manifests[string(d.Digest)] = body
	for _, u := range uses {
		i.uses[string(d.Digest)] = append(i.uses[string(d.Digest)], string(u.Digest))
	}
	return d
}

// layout writes the image into a new OCI layout below dir, tagged "image", and
// returns its path.
func (i *image) layout(dir string) (string, error) {
	top := i.top
	top.Annotations = map[string]string{v1.AnnotationRefName: "image"}
	files := map[string][]byte{
		v1.ImageLayoutFile: []byte(`{"imageLayoutVersion":"1.0.0"}`),
		v1.ImageIndexFile:  asJSON(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []v1.Descriptor{top}}),
	}
	for _, all := range []map[string][]byte{i.blobs, i.manifests} {
		for d, content := range all {
			files[filepath.Join("blobs", "sha256", strings.TrimPrefix(d, "sha256:"))] = content
		}
	}
	path := filepath.Join(dir, "layout-"+i.top.Digest.Encoded()[:12])
	if err := os.MkdirAll(filepath.Join(path, "blobs", "sha256"), 0o750); err != nil {
		return "", err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(path, name), content, 0o600); err != nil {
			return "", err
		}
	}
	return path, nil
}

// sameLayout returns an error unless the layout in dir has, byte for byte, the
// manifest d of a world and all that it needs.
func sameLayout(x *world.World, d, dir string) error {
	want := x.Manifests[d]
	if blob, ok := x.Blobs[d]; ok {
		want = blob
	}
	got, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:")))
	if err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("%s: %d bytes, want %d: %w", d, len(got), len(want), err)
	}
	for _, part := range x.Uses[d] {
		if err := sameLayout(x, part, dir); err != nil {
			return err
		}
	}
	return nil
}

// tops returns the manifests that no other one names, in order.
func tops(x *world.World) []string {
	used := map[string]bool{}
	for _, list := range x.Uses {
		for _, d := range list {
			used[d] = true
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(x.Manifests)), func(d string) bool { return used[d] })
}

// layer returns a layer with one file, packed, and its digest unpacked.
func layer(content []byte) ([]byte, digest.Digest) {
	var packed, plain bytes.Buffer
	zip := gzip.NewWriter(&packed)
	w := tar.NewWriter(io.MultiWriter(&plain, zip))
	err1 := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg})
	_, err2 := w.Write(content)
	if err := errors.Join(err1, err2, w.Close(), zip.Close()); err != nil {
		panic(err) // all of it is in memory
	}
	return packed.Bytes(), digest.FromBytes(plain.Bytes())
}

func descriptor(mediaType string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

func asJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // types that are made for it
	}
	return text
}
