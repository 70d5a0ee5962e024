package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// blob is content of which no two are the same: a few bytes of its own, and then
// a pattern that all share, so that much of it needs little memory.
type blob struct {
	head    [16]byte
	pattern []byte // repeated
	size    int64
	digest  digest.Digest
}

// newBlob makes one and computes its digest.
func newBlob(pattern []byte, size int64) *blob {
	b := &blob{pattern: pattern, size: size}
	_, _ = rand.Read(b.head[:]) // never fails
	h := sha256.New()
	_, _ = io.Copy(h, b.reader(0, size)) // memory
	b.digest = digest.NewDigest(digest.SHA256, h)
	return b
}

// newPattern is content that does not compress.
func newPattern(size int) []byte {
	source := mathrand.NewPCG(1, 2) // what it is does not matter
	p := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], source.Uint64())
	}
	return p
}

// reader reads size bytes from the offset on.
func (b *blob) reader(offset, size int64) io.Reader {
	return io.LimitReader(&blobReader{b, offset}, size)
}

type blobReader struct {
	b  *blob
	at int64
}

func (r *blobReader) Read(p []byte) (int, error) {
	var n int
	if r.at < int64(len(r.b.head)) {
		n = copy(p, r.b.head[r.at:])
	} else {
		n = copy(p, r.b.pattern[r.at%int64(len(r.b.pattern)):])
	}
	r.at += int64(n)
	return n, nil
}

// image is a manifest with its blobs.
type image struct {
	blobs    []*blob // the last one is the config
	manifest []byte
}

// newImage makes an image of so many layers.
func newImage(pattern []byte, layers int, size int64) *image {
	var im image
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for range layers {
		im.blobs = append(im.blobs, newBlob(pattern, size))
		m.Layers = append(m.Layers, im.blobs[len(im.blobs)-1].descriptor(v1.MediaTypeImageLayer))
	}
	config := newBlob(pattern, 1<<10)
	im.blobs = append(im.blobs, config)
	m.Config = config.descriptor(v1.MediaTypeImageConfig)
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // a manifest is JSON
	}
	im.manifest = text
	return &im
}

func (b *blob) descriptor(mediaType string) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: b.digest, Size: b.size}
}

func (im *image) digest() digest.Digest { return digest.FromBytes(im.manifest) }

func (im *image) String() string {
	return fmt.Sprintf("%d layers of %d bytes", len(im.blobs)-1, im.blobs[0].size)
}
