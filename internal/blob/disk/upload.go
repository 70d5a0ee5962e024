package disk

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"sync"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

var (
	errEnded = errors.New("the upload has ended")
	errTaken = fmt.Errorf("another writer has taken over the upload: %w", blob.ErrNotFound)
)

// resumable is a hash whose state can be saved: those of crypto/sha256 and
// crypto/sha512.
type resumable interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// upload is a blob.Upload. Its file is at least offset bytes long, and the
// first offset bytes are those that hash has seen, whenever no method runs.
type upload struct {
	store     *Store
	id        string
	algorithm oci.Algorithm
	hash      resumable
	offset    int64 // bytes taken
	flushed   int64 // up to here the kernel was told to begin writing to the disk

	// mu is held while the file changes, so that a new writer can wait for
	// that and then keep this one from touching what is not its own any more.
	mu     sync.Mutex
	file   *os.File
	refuse error // why nothing more can be done; nil as long as it can
}

// Upload is that of blob.Store. If an earlier writer of the upload is still
// there, all that it tries from now on fails with blob.ErrNotFound: two can
// never write to one upload, even if the caller's lease fails.
//
// The hash state in st is trusted if st is from this process. Otherwise the
// machine may have stopped meanwhile, and the bytes are read and hashed again.
func (s *Store) Upload(ctx context.Context, st blob.State) (blob.Upload, error) {
	if !uploadID.MatchString(st.ID) {
		return nil, fmt.Errorf("upload id %.80q is not valid: use 1 to 64 letters, digits and '-'", st.ID)
	}
	h, err := newHash(st.Algorithm)
	if err == nil && st.Offset < 0 {
		err = fmt.Errorf("offset %d is below 0", st.Offset)
	}
	if err != nil {
		return nil, fmt.Errorf("upload %s: %w", st.ID, err)
	}
	u := &upload{store: s, id: st.ID, algorithm: st.Algorithm, hash: h, offset: st.Offset, flushed: st.Offset}
	err = u.open()
	if err == nil && st.Offset > 0 {
		err = u.restore(ctx, st)
	}
	if err != nil {
		_ = u.Close()
		return nil, fmt.Errorf("upload %s: %w", st.ID, err)
	}
	return u, nil
}

func newHash(a oci.Algorithm) (resumable, error) {
	if _, err := oci.ParseAlgorithm(string(a)); err != nil {
		return nil, err
	}
	h, ok := a.Hash().(resumable)
	if !ok {
		return nil, fmt.Errorf("the state of %s cannot be saved", a)
	}
	return h, nil
}

// open keeps an earlier writer out and then opens the file, cut to offset.
func (u *upload) open() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.store.enter(u)
	var err error
	if u.offset == 0 {
		u.file, err = create(u.store.uploadPath(u.id))
		return noSpace(err)
	}
	u.file, err = reopen(u.store.uploadPath(u.id))
	if errors.Is(err, fs.ErrNotExist) {
		return blob.ErrNotFound
	}
	if err != nil {
		return err
	}
	size, err := u.cut()
	if err == nil && size < u.offset {
		err = fmt.Errorf("only %d of %d bytes are left: %w", size, u.offset, blob.ErrNotFound)
	}
	return err
}

// create makes a new file, never one that somebody else has open.
func create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, uploadMode)
}

// State is that of blob.Upload.
func (u *upload) State() (blob.State, error) {
	if err := u.refused(); err != nil {
		return blob.State{}, u.fail("save", err)
	}
	st := blob.State{ID: u.id, Algorithm: u.algorithm, Offset: u.offset, Store: []byte(u.store.instance)}
	if u.offset == 0 {
		return st, nil
	}
	var err error
	if st.Hash, err = u.hash.AppendBinary(nil); err != nil {
		return blob.State{}, u.fail("save", err)
	}
	return st, nil
}

// refused returns why nothing more can be done, or nil.
func (u *upload) refused() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.refuse
}

// fail describes an error of the upload.
func (u *upload) fail(verb string, err error) error {
	return fmt.Errorf("%s upload %s: %w", verb, u.id, err)
}
