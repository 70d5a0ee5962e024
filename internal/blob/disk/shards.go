package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// shards are the directories that blobs lie in.
type shards struct {
	mu  sync.Mutex
	all map[string]*shard // by path
}

// shard is one of them. Who makes it holds mu, so that others who need it wait, and
// nobody else does.
type shard struct {
	mu    sync.Mutex
	known bool // to be on stable storage, its own name
}

func (s *shards) at(dir string) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[dir] == nil {
		s.all[dir] = &shard{}
	}
	return s.all[dir]
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
			s.shards.at(filepath.Join(dir, e.Name())).known = true
		}
	}
	return nil
}

// makeShard makes the directory of a shard if it is not known to be there.
func (s *Store) makeShard(dir string) error {
	sh := s.shards.at(dir)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.known {
		return nil
	}
	if err := s.makeDir(dir); err != nil {
		return err
	}
	sh.known = true
	return nil
}

// makeDir makes a directory and puts its name on stable storage. If that fails it
// goes again: a later sync of what the kernel takes for written would say nothing.
func (s *Store) makeDir(dir string) error {
	parent, err := os.Open(filepath.Dir(dir)) // before it changes, as in publish
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }()
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.ops.sync(parent); err != nil {
		_ = os.Remove(dir) // unless there is something in it
		return err
	}
	return nil
}
