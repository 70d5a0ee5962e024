package hot

import (
	"bytes"
	"io"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// content is one reader of what is in memory.
type content struct {
	bytes.Reader
	all []byte
}

var _ blob.InMemory = (*content)(nil)

func newContent(all []byte) *content {
	c := &content{all: all}
	c.Reset(all)
	return c
}

// Bytes is that of blob.InMemory.
func (c *content) Bytes() []byte { return c.all }

// Close has nothing to release.
func (c *content) Close() error { return nil }

// read returns the size bytes of r, and whether they are all there and have the
// digest d.
func read(r io.Reader, size int64, d oci.Digest) ([]byte, bool) {
	all := make([]byte, size)
	if _, err := io.ReadFull(r, all); err != nil {
		return nil, false
	}
	return all, d.Algorithm().FromBytes(all) == d
}

// again returns what Open returned, before anything was read of it.
func again(c io.ReadSeekCloser, size int64) (io.ReadSeekCloser, int64, error) {
	if _, err := c.Seek(0, io.SeekStart); err != nil {
		_ = c.Close() // it was only read
		return nil, 0, err
	}
	return c, size, nil
}
