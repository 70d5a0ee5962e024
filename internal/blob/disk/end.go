package disk

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// enter makes u the only writer of its upload. The caller holds u.mu.
func (s *Store) enter(u *upload) {
	s.mu.Lock()
	before := s.open[u.id]
	s.open[u.id] = u
	s.mu.Unlock()
	if before != nil {
		before.stop()
	}
}

// leave forgets u, unless another writer has taken over.
func (s *Store) leave(u *upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[u.id] == u {
		delete(s.open, u.id)
	}
}

func (s *Store) isOpen(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[id] != nil
}

// stop waits until u does not change its file and lets it do so no more.
func (u *upload) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file != nil { // it has not ended by itself
		u.refuse = errTaken
	}
}

// Cancel is that of blob.Upload.
func (u *upload) Cancel(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if errors.Is(u.refuse, errEnded) || errors.Is(u.refuse, errTaken) {
		return u.fail("cancel", u.refuse)
	}
	err := os.Remove(u.store.uploadPath(u.id))
	_ = u.end() // nothing is left to be written
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return u.fail("cancel", err)
	}
	return nil
}

// Close is that of blob.Upload.
func (u *upload) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.end(); err != nil {
		return u.fail("close", err)
	}
	return nil
}

// end closes the file, if that is not done yet, and refuses all that follows.
// The caller holds u.mu.
func (u *upload) end() error {
	u.store.leave(u)
	u.refuse = errEnded
	f := u.file
	u.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}
