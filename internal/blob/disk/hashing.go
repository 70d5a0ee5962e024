package disk

import "hash"

// queueLength is how many buffers an Append has at most: one that is read or
// written, one that is hashed, and two between them. With fewer, each side
// sleeps and wakes for each buffer, which costs more than overlapping gains.
// It also bounds the memory of a push, to 1 MiB.
const queueLength = 4

// hashing hashes pieces in the order they are written, on a goroutine of its
// own, and gives their buffers back. The large pushes of a store take turns at it, on
// half of the processors: with all of them hashing at once, whoever wants something
// small waits behind all of them.
type hashing struct {
	store   *Store
	written chan piece    // to be hashed
	free    chan *buffer  // to be used again; never full
	done    chan struct{} // closed when all is hashed
	got     int           // buffers that were handed out, the first one included
}

// piece is n bytes in a buffer.
type piece struct {
	buf *buffer
	n   int
}

// startHashing begins to hash what comes in written, up to finish. The caller
// brings one buffer of its own.
func startHashing(h hash.Hash, s *Store) *hashing {
	q := &hashing{
		store:   s,
		written: make(chan piece, queueLength),
		free:    make(chan *buffer, queueLength),
		done:    make(chan struct{}),
		got:     1,
	}
	go func() {
		defer close(q.done)
		for p := range q.written {
			s.hashers <- struct{}{}
			_, _ = h.Write(p.buf[:p.n])
			<-s.hashers
			q.free <- p.buf
		}
	}()
	return q
}

// buffer returns one to read into; it waits for one when all are in use.
func (q *hashing) buffer() *buffer {
	select {
	case b := <-q.free:
		return b
	default:
	}
	if q.got < queueLength {
		q.got++
		return q.store.getBuffer()
	}
	return <-q.free
}

// finish waits until all is hashed and gives the buffers back, but for one that
// the caller still has because its reader panicked.
func (q *hashing) finish() {
	close(q.written)
	<-q.done
	for range len(q.free) {
		q.store.putBuffer(<-q.free)
	}
}

func (s *Store) getBuffer() *buffer  { return s.buffers.Get().(*buffer) }
func (s *Store) putBuffer(b *buffer) { s.buffers.Put(b) }
