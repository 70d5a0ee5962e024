// Package blob is the contract of a store that keeps content by its digest.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
)

// Errors of a Store, to compare with by errors.Is. Any other error is a fault
// of the storage.
var (
	ErrNotFound = errors.New("no such content")
	ErrNoSpace  = errors.New("no space left in the blob store")
	ErrMismatch = errors.New("content does not have the digest it should have")
)

// Store keeps content under its digest. It knows nothing of repositories: who
// holds a blob is written in meta.
//
// All methods may be called at once, by several processes if the store is
// shared. A digest given to a method is valid (oci.ParseDigest).
type Store interface {
	// Open returns the content of d and its size in bytes. The caller closes it.
	// Content that was opened stays readable when it is deleted meanwhile.
	// A file system store returns an *os.File, so that it can be sent without
	// copying (sendfile). Content that is in memory is an InMemory.
	//
	// Errors: ErrNotFound.
	Open(ctx context.Context, d oci.Digest) (io.ReadSeekCloser, int64, error)

	// Stat returns the size of d in bytes.
	//
	// Errors: ErrNotFound.
	Stat(ctx context.Context, d oci.Digest) (int64, error)

	// Delete removes d. Deleting what is not there is no error.
	// The caller holds meta.Store.LockBlob for d.
	Delete(ctx context.Context, d oci.Digest) error

	// All yields everything stored, in no order; an error ends it. Content that
	// comes or goes meanwhile may be yielded or not.
	All(ctx context.Context) iter.Seq2[Info, error]

	// Upload opens an upload for one writer: a new one if s.Offset is 0 (what
	// an earlier one with this ID left behind is dropped), else the one that s
	// was saved from. The caller sees to it that there is one writer at a time
	// (the lease in meta).
	//
	// Errors: ErrNotFound if the bytes of the upload are gone or are not those
	// that s describes; ErrNoSpace.
	Upload(ctx context.Context, s State) (Upload, error)

	// Abandoned yields the IDs of uploads that nothing wrote to since before.
	// An error ends it.
	Abandoned(ctx context.Context, before time.Time) iter.Seq2[string, error]
}

// InMemory is what the content that Open returns may be too, when all of it is in
// memory: it can be sent, or a part of it, by one write.
type InMemory interface {
	// Bytes returns the whole content, wherever the reader is. Their hash was
	// compared with the digest. They are shared, so nobody changes them, and they
	// stay valid after Close and after a Delete.
	Bytes() []byte
}

// Info names one stored content.
type Info struct {
	Digest oci.Digest
	Size   int64     // bytes
	Stored time.Time // when it was committed
}

// State is all that is needed to go on with an upload, in this process or
// another one. It is saved in meta between the requests of a session.
type State struct {
	ID        string        // chosen by the caller: random, letters and digits only
	Algorithm oci.Algorithm // what the bytes are hashed with while they come in
	Offset    int64         // bytes taken so far
	Hash      []byte        // state of the hash after Offset bytes; nil at 0
	Store     []byte        // what the store itself must remember; opaque
}

// Upload takes the bytes of one content in order. It is used by one goroutine.
// It ends with one of Commit, Cancel or Close; calling Close after the other
// two is allowed and does nothing.
type Upload interface {
	// Append takes the bytes of r up to its end and returns how many it took,
	// also when it fails. An error of r is returned wrapped; what came before
	// it is kept.
	//
	// Errors: ErrNoSpace; those of r.
	Append(ctx context.Context, r io.Reader) (int64, error)

	// State returns what to save, so that Store.Upload can go on after Close.
	// What it describes survives the end of the process, but need not survive
	// the end of the machine: Store.Upload notices that.
	State() (State, error)

	// Commit checks that the bytes taken have digest d, of any algorithm, and
	// stores them under it. When it returns nil the content and its name are on
	// stable storage. Content that was already stored under d is replaced, which
	// heals it if it was damaged. The caller holds meta.Store.LockBlob for d.
	//
	// New content may be seen by Open, Stat and All before Commit returns; and after
	// a crash in the middle of it, with any bytes. So only a link in meta says that
	// something is stored, never that it can be seen.
	//
	// Errors: ErrMismatch (the upload is not ended by it), ErrNoSpace. Any error
	// but ErrMismatch may end the upload: nobody knows then what is stored.
	Commit(ctx context.Context, d oci.Digest) error

	// Cancel ends the upload and removes its bytes.
	Cancel(ctx context.Context) error

	// Close releases the upload and keeps its bytes for Store.Upload.
	Close() error
}
