package disk

import (
	"errors"
	"io/fs"
	"os"
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

// learnShards notes the shards in dir, and syncs dir because a process before
// this one may have made the last of them and not come to that.
func (s *Store) learnShards(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if err := s.syncDir(dir); err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			s.shards[filepath.Join(dir, e.Name())] = struct{}{}
		}
	}
	return nil
}

// makeShard makes the directory of a shard if it is not known to be there.
func (s *Store) makeShard(dir string) error {
	s.mu.Lock()
	_, known := s.shards[dir]
	s.mu.Unlock()
	if known {
		return nil
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	s.mu.Lock()
	s.shards[dir] = struct{}{}
	s.mu.Unlock()
	return nil
}
