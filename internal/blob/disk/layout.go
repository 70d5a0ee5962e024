package disk

import (
	"io/fs"
	"path/filepath"
	"regexp"

	"github.com/moorgate/moorgate/internal/oci"
)

const (
	uploadMode fs.FileMode = 0o600
	blobMode   fs.FileMode = 0o444

	shardDigits = 2 // hex digits in the name of a shard: 256 of them
)

// uploadID is what the ID of an upload looks like. It is the name of a file, so
// nothing that means something in a path may be in it.
var uploadID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

func (s *Store) uploadPath(id string) string { return filepath.Join(s.uploads, id) }

func (s *Store) algorithmDir(a oci.Algorithm) string { return filepath.Join(s.blobs, string(a)) }

func (s *Store) shardDir(d oci.Digest) string {
	return filepath.Join(s.algorithmDir(d.Algorithm()), d.Encoded()[:shardDigits])
}

func (s *Store) blobPath(d oci.Digest) string {
	return filepath.Join(s.shardDir(d), d.Encoded())
}
