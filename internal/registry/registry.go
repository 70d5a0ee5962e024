// Package registry holds the operations of a registry: push, pull, tag, list,
// delete, referrers.
//
// It knows no HTTP and no users. What a caller may do is decided before, or by
// the Guard that it passes: the registry asks it inside the transaction,
// once for each effect that depends on what is stored.
package registry

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Registry is a registry on two stores. Its methods may be called at once; the
// errors that a client may be told about are *oci.Error.
type Registry struct {
	blobs blob.Store
	meta  meta.Store
	opts  Options
}

// Options of a Registry. The zero value of each field stands for its default.
type Options struct {
	// Sparse allows manifests that name content the repository does not hold.
	Sparse bool

	// NoDelete refuses to delete manifests, tags and blobs.
	NoDelete bool

	// FreeAfter is how long content stays that no repository holds any more: it is
	// to be looked at that long after one has let it go.
	FreeAfter time.Duration

	// UploadsPerOwner bounds the unfinished uploads of one user; 1,000 if 0.
	UploadsPerOwner int

	// UploadExpiry is how long an upload may rest before it is dropped; 24
	// hours if 0.
	UploadExpiry time.Duration

	// Now is the clock; time.Now if nil.
	Now func() time.Time

	// NewID makes the identifiers of uploads: unguessable, letters and digits,
	// at most 64. crypto/rand.Text if nil.
	NewID func() string
}

// New returns a registry on two stores, which stay the caller's to close.
func New(blobs blob.Store, store meta.Store, opts Options) *Registry {
	if opts.UploadsPerOwner == 0 {
		opts.UploadsPerOwner = 1000
	}
	if opts.UploadExpiry == 0 {
		opts.UploadExpiry = 24 * time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.NewID == nil {
		opts.NewID = rand.Text
	}
	return &Registry{blobs: blobs, meta: store, opts: opts}
}

// Action is what an Effect does.
type Action int

// The actions of effects.
const (
	ReadBlob  Action = iota // a blob of Repo becomes readable elsewhere (mount)
	MoveTag                 // Tag of Repo, which exists, will point elsewhere
	DeleteTag               // Tag of Repo goes because its manifest goes, or is broken because something it needs goes
)

// Effect is something an operation is about to do that could not be known from
// the request alone.
type Effect struct {
	Action Action
	Repo   string
	Tag    string // for MoveTag and DeleteTag
}

// Guard answers whether the caller may have an effect: nil, or the error to
// give up with. It may be asked more than once about the same effect, decides
// without waiting for anything, and has no effects of its own.
type Guard func(Effect) error

// fault turns an error of a store into one of the registry: full storage is
// told to the client, everything else is an internal error.
func fault(doing string, err error) error {
	if errors.Is(err, blob.ErrNoSpace) || errors.Is(err, meta.ErrNoSpace) {
		return oci.ErrNoSpace.Because(fmt.Errorf("%s: %w", doing, err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (r *Registry) deleting() error {
	if r.opts.NoDelete {
		return oci.Errorf(oci.Unsupported, "deleting is switched off in this registry")
	}
	return nil
}
