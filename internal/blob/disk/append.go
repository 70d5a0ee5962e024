package disk

import (
	"context"
	"io"
)

// buffer is what an Append reads, writes and hashes at a time: large enough
// that the cost of a system call does not show, small enough to stay in a
// processor's cache.
type buffer [256 << 10]byte

// flushEvery is after how many bytes the kernel is told to begin writing them
// to the disk, so that the sync in Commit finds little left to wait for.
const flushEvery = 8 << 20

// Append is that of blob.Upload. A write that fails takes nothing of the
// buffer it was for.
func (u *upload) Append(ctx context.Context, r io.Reader) (int64, error) {
	before := u.offset
	if err := u.append(ctx, r); err != nil {
		return u.offset - before, u.fail("append to", err)
	}
	return u.offset - before, nil
}

func (u *upload) append(ctx context.Context, r io.Reader) error {
	if err := u.refused(); err != nil {
		return err
	}
	buf := u.store.getBuffer()
	n, rerr := fill(ctx, r, buf[:])
	if n == len(buf) {
		return u.overlap(ctx, r, buf, rerr)
	}
	defer u.store.putBuffer(buf)
	if err := u.write(buf[:n]); err != nil {
		return err
	}
	_, _ = u.hash.Write(buf[:n])
	return unlessEOF(rerr)
}

// overlap takes the full buffer buf, which rerr came with, and then all of r.
// What is written is hashed on another goroutine while the next is read and
// written; so a write that fails leaves nothing in the hash that is not in the
// file.
func (u *upload) overlap(ctx context.Context, r io.Reader, buf *buffer, rerr error) error {
	q := startHashing(u.hash, u.store)
	defer q.finish()
	for n := len(buf); n > 0; {
		if err := u.write(buf[:n]); err != nil {
			q.free <- buf
			return err
		}
		q.written <- piece{buf, n}
		if rerr != nil {
			return unlessEOF(rerr)
		}
		buf = q.buffer()
		n, rerr = fill(ctx, r, buf[:])
	}
	q.free <- buf
	return unlessEOF(rerr)
}

// fill reads until p is full or r ends. The end of r is the error io.EOF, and
// may come with bytes.
func fill(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	err = ctx.Err()
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

func unlessEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // a reader returns io.EOF itself at its end (io.Reader); a wrapped one is a fault
		return nil
	}
	return err
}

// write puts p behind the bytes of the upload, or leaves the file as it was.
// The caller sees to the hash.
func (u *upload) write(p []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.refuse != nil {
		return u.refuse
	}
	if _, err := u.store.ops.writeAt(u.file, p, u.offset); err != nil {
		_, _ = u.cut() // gives the space back; Commit and Upload cut again
		return noSpace(err)
	}
	u.offset += int64(len(p))
	if n := u.offset - u.flushed; n >= flushEvery {
		flush(u.file, u.flushed, n)
		u.flushed = u.offset
	}
	return nil
}
