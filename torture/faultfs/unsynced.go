package faultfs

import "syscall"

// unsynced is what writes to a file have replaced since its last sync.
type unsynced struct{ spans []span }

type span struct {
	off, size int64
	old       []byte // up to size bytes; what is missing was not there
}

// unsyncedOf returns that of the backing file with an inode. The caller holds
// s.mu.
func (s *FS) unsyncedOf(inode uint64) *unsynced {
	u := s.unsynced[inode]
	if u == nil {
		u = &unsynced{}
		s.unsynced[inode] = u
	}
	return u
}

// note remembers what a write of size bytes at off is about to replace. What
// cannot be read counts as zeros.
func (u *unsynced) note(fd int, off int64, size int) {
	old := make([]byte, size)
	n, err := syscall.Pread(fd, old, off)
	if err != nil || n == 0 {
		u.spans = append(u.spans, span{off: off, size: int64(size)})
		return
	}
	u.spans = append(u.spans, span{off, int64(size), old[:n]})
}

// revert puts back what was there, as far as the file still reaches.
func (u *unsynced) revert(fd int) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return
	}
	for i := len(u.spans) - 1; i >= 0; i-- {
		s := u.spans[i]
		size := min(s.size, st.Size-s.off)
		if size <= 0 {
			continue
		}
		content := make([]byte, size)
		copy(content, s.old)
		_, _ = syscall.Pwrite(fd, content, s.off) // a backing directory that fails is not what is tested
	}
	u.spans = nil
}
