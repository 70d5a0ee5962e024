// Package disk is a blob.Store in a directory of the local file system.
//
// Below its directory:
//
//	blobs/<algorithm>/<first two hex digits>/<hex>   content, read-only
//	uploads/<id>                                     unfinished uploads
//
// Both are on one file system, because a commit is a rename. One process uses
// the directory at a time (package datadir sees to that).
package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// dirMode keeps the content from other users of the machine: who may read it
// is for the registry to decide.
const dirMode fs.FileMode = 0o700

// Config says where a Store keeps its files.
type Config struct {
	// Dir is the directory of the store. It exists and can be written to; the
	// store makes what it needs inside.
	Dir string
}

// Validate reports what is wrong with c, without looking at the disk.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("the directory of the blob store is not set")
	}
	return nil
}

// Store is a blob.Store in a directory. All methods may be called at once.
type Store struct {
	blobs, uploads string // directories
	ops            ops
	now            func() time.Time
	buffers        sync.Pool     // of *buffer
	hashers        chan struct{} // holds one for each large push that is hashing now
	instance       string        // random; tells uploads of this process from older ones

	shards shards
	turns  turns

	mu   sync.Mutex
	open map[string]*upload // by ID: the newest writer of each upload
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in c.Dir and makes the directories inside that are
// missing. It fails if the directory is missing or cannot be written to; a full
// disk is no reason to fail, as what is stored can still be read.
func Open(c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Store{
		blobs:    filepath.Join(c.Dir, "blobs"),
		uploads:  filepath.Join(c.Dir, "uploads"),
		ops:      systemOps(),
		now:      time.Now,
		buffers:  sync.Pool{New: func() any { return new(buffer) }},
		hashers:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		instance: rand.Text(),
		shards:   shards{all: map[string]*shard{}},
		turns:    turns{taken: map[oci.Digest]*turn{}},
		open:     map[string]*upload{},
	}
	if err := s.prepare(c.Dir); err != nil {
		return nil, fmt.Errorf("cannot use %s for blobs: %w", c.Dir, reason(err))
	}
	return s, nil
}

// prepare makes the directories, and puts their names on stable storage once
// so that no commit has to think of them.
func (s *Store) prepare(dir string) error {
	for _, d := range []string{s.uploads, s.blobs, s.algorithmDir(oci.SHA256), s.algorithmDir(oci.SHA512)} {
		if err := os.Mkdir(d, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, d := range []string{dir, s.blobs} {
		if err := s.syncDir(d); err != nil {
			return err
		}
	}
	for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		if err := s.probe(s.algorithmDir(a)); err != nil {
			return err
		}
		if err := s.learnShards(s.algorithmDir(a)); err != nil {
			return err
		}
	}
	return nil
}

// probe does what a commit does, with an empty file, so that missing rights
// and directories on two file systems show at the start.
func (s *Store) probe(dir string) error {
	const name = ".probe" // no upload has this ID
	from, to := filepath.Join(s.uploads, name), filepath.Join(dir, name)
	err := os.WriteFile(from, nil, uploadMode)
	if err == nil {
		err = os.Rename(from, to)
	}
	_ = os.Remove(from)
	_ = os.Remove(to)
	if errors.Is(noSpace(err), blob.ErrNoSpace) {
		return nil
	}
	return err
}

// reason leaves out of err the path of the file it happened at, when that is
// of no use to an operator.
func reason(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("the directory does not exist")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the directory cannot be written to by this user: %w", err)
	default:
		return err
	}
}
