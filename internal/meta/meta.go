// Package meta is the contract of the store for everything but blob content:
// repositories, manifests, tags, blob links, upload sessions, refresh tokens, keys.
//
// Rules of the registry (which tag may move, what a manifest may name) are not
// here but in package registry, which runs them inside a transaction.
package meta

import (
	"context"
	"errors"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// Errors of a Store, to compare with by errors.Is. Any other error is a fault
// of the storage.
var (
	ErrNotFound = errors.New("no such entry")
	ErrNoSpace  = errors.New("no space left in the metadata store")
)

// Store keeps metadata in transactions. All methods may be called at once.
type Store interface {
	// View runs fn on one consistent state. fn must not write.
	View(ctx context.Context, fn func(Tx) error) error

	// Update runs fn and makes its changes durable together: when it returns
	// nil they are on stable storage and visible to every later View. When fn
	// fails, none of them happened and its error is returned as it is.
	//
	// fn may run more than once, and on another goroutine; it has no effects
	// but those on the Tx and on variables that it sets anew at each run, it
	// does not wait for anything, and it never calls the Store again.
	//
	// Errors: those of fn; ErrNoSpace.
	Update(ctx context.Context, fn func(Tx) error) error

	// UpdateRelaxed is Update for changes that may be lost when the machine
	// stops, though not when only the process does: the progress of uploads.
	//
	// It is also how to look before content is removed. While SQLite does not
	// know whether an earlier update was committed, a View shows it as if it had
	// not been, and every update fails without running fn; the error is not
	// ErrNoSpace. One that changes nothing needs no space and does not wait for
	// the disk.
	UpdateRelaxed(ctx context.Context, fn func(Tx) error) error

	// LockBlob keeps others from linking or deleting the content d until
	// unlock is called, in all processes that share the store. A push holds it
	// from before the content is stored until its link is committed; garbage
	// collection from before it looks for links until the content is gone.
	LockBlob(ctx context.Context, d oci.Digest) (unlock func(), err error)

	// Close ends the store when running transactions are done.
	Close() error
}

// Tx is one transaction. It is valid until the function it was given to
// returns, and is used by one goroutine.
//
// Names given to its methods are valid (oci.CheckRepository and so on).
// Times are kept with microsecond precision, in UTC.
type Tx interface {
	Repositories
	Blobs
	Reviews
	Manifests
	Tags
	Uploads
	Credentials
}

// Repositories are made by the first LinkBlob or PutManifest in them, and
// stay when their last content goes.
type Repositories interface {
	// HasRepository reports whether the repository exists.
	HasRepository(repo string) (bool, error)

	// Catalog returns the names of at most limit repositories that hold at
	// least one manifest, in byte order, starting behind after ("" for all).
	Catalog(after string, limit int) ([]string, error)
}

// Blobs are links: "this repository holds this blob".
type Blobs interface {
	// BlobSize returns the size in bytes of a blob that repo holds.
	//
	// Errors: ErrNotFound.
	BlobSize(repo string, d oci.Digest) (int64, error)

	// LinkBlob lets repo hold the blob d of size bytes. Again is no error.
	LinkBlob(repo string, d oci.Digest, size int64, now time.Time) error

	// UnlinkBlob ends that repo holds d. Whether anybody holds it still is to be
	// looked at from review on (Reviews).
	//
	// Errors: ErrNotFound.
	UnlinkBlob(repo string, d oci.Digest, review time.Time) error

	// BlobHolders returns the names of at most limit repositories that hold d,
	// in byte order, starting behind after.
	BlobHolders(d oci.Digest, after string, limit int) ([]string, error)

	// MissingBlobs returns those of ds that repo does not hold.
	MissingBlobs(repo string, ds []oci.Digest) ([]oci.Digest, error)
}

// Manifest is a stored manifest. Methods that return many leave Body nil.
type Manifest struct {
	Digest       oci.Digest
	MediaType    string
	ArtifactType string            // as the referrers API shows it; may be empty
	Subject      oci.Digest        // "" if it has none
	Annotations  map[string]string // of the manifest itself
	Size         int64             // of Body, bytes
	Body         []byte            // as it was pushed
	PushedAt     time.Time
}

// Reference is what a manifest names: a blob, or another manifest. A subject
// is not one: it need not exist.
type Reference struct {
	Digest   oci.Digest
	Manifest bool // false: a blob
}

// Manifests belong to one repository each.
type Manifests interface {
	// Manifest returns a manifest with its body.
	//
	// Errors: ErrNotFound.
	Manifest(repo string, d oci.Digest) (Manifest, error)

	// PutManifest stores m and what it names. If repo has m already, it only
	// sets its PushedAt.
	PutManifest(repo string, m Manifest, refs []Reference) error

	// DeleteManifest removes a manifest. Tags that point to it must be removed
	// first.
	//
	// Errors: ErrNotFound.
	DeleteManifest(repo string, d oci.Digest) error

	// MissingManifests returns those of ds that repo does not have.
	MissingManifests(repo string, ds []oci.Digest) ([]oci.Digest, error)

	// Referrers returns at most limit manifests of repo whose subject is d,
	// without bodies, in the byte order of their digests, starting behind after
	// ("" for all). If artifactType is not empty, only those of that type.
	Referrers(repo string, subject oci.Digest, artifactType string, after oci.Digest, limit int) ([]Manifest, error)
}

// Tag is a name for a manifest that can be moved.
type Tag struct {
	Name   string
	Digest oci.Digest
	SetAt  time.Time
	SetBy  string // user name; may be empty
}

// Tags belong to one repository each. Each change is kept in the tag history.
type Tags interface {
	// Tag returns where a tag points.
	//
	// Errors: ErrNotFound.
	Tag(repo, name string) (Tag, error)

	// ManifestByTag returns the manifest that a tag points to, with its body.
	//
	// Errors: ErrNotFound.
	ManifestByTag(repo, name string) (Manifest, error)

	// SetTag makes or moves a tag. Its manifest must be stored in repo.
	SetTag(repo string, t Tag) error

	// DeleteTag removes a tag; by and now go to the tag history.
	//
	// Errors: ErrNotFound.
	DeleteTag(repo, name, by string, now time.Time) error

	// TagNames returns at most limit tags of repo in byte order, starting
	// behind after ("" for all).
	TagNames(repo, after string, limit int) ([]string, error)

	// TagsOf returns the names of all tags of repo that point to d, in byte
	// order.
	TagsOf(repo string, d oci.Digest) ([]string, error)

	// TagsUsing returns the names of all tags of repo that need d, in byte
	// order: those that point to d, and those that point to a manifest that
	// names d (a manifest or a blob), directly or through other manifests of
	// repo. A subject is not a need.
	TagsUsing(repo string, d oci.Digest) ([]string, error)
}

// Upload is an upload session: an unfinished blob push.
type Upload struct {
	Repo       string
	Owner      string     // who started it, as access.Identity.Key says; "" is anonymous
	State      blob.State // its ID is the ID of the session
	StartedAt  time.Time
	ExpiresAt  time.Time
	LeaseBy    string // the request that writes now; "" if none
	LeaseUntil time.Time
}

// Uploads are found by their ID alone; the registry checks repository and
// owner.
type Uploads interface {
	// Upload returns a session. In an Update it also keeps other transactions
	// from changing the session until this one ends.
	//
	// Errors: ErrNotFound.
	Upload(id string) (Upload, error)

	// SaveUpload makes a session or replaces it.
	SaveUpload(u Upload) error

	// DeleteUpload removes a session. Again is no error.
	DeleteUpload(id string) error

	// ExpiredUploads returns at most limit sessions whose ExpiresAt is before
	// now and that nobody holds a lease on, oldest first.
	ExpiredUploads(now time.Time, limit int) ([]Upload, error)

	// CountUploads returns the number of sessions of an owner.
	CountUploads(owner string) (int, error)
}

// Credentials are what people and robots sign in with instead of a password.
type Credentials interface {
	RefreshTokens
	Keys
}

// RefreshToken is what a client holds instead of a password. The token itself is
// not stored.
type RefreshToken struct {
	ID        string
	Hash      []byte // SHA-256 of the secret part
	Source    string // the identity source of the user
	User      string
	Stamp     []byte // SHA-256 of the stamp of the user's password (authn.Directory)
	Service   string // what it gives tokens for
	Client    string // as the client called itself; may be empty
	IssuedAt  time.Time
	UsedAt    time.Time
	ExpiresAt time.Time
}

// RefreshTokens are found by their ID.
type RefreshTokens interface {
	// RefreshToken returns a token.
	//
	// Errors: ErrNotFound.
	RefreshToken(id string) (RefreshToken, error)

	// SaveRefreshToken makes a token or replaces it.
	SaveRefreshToken(t RefreshToken) error

	// DeleteRefreshToken removes a token.
	//
	// Errors: ErrNotFound.
	DeleteRefreshToken(id string) error

	// ListRefreshTokens returns at most limit tokens of a user, or of all users
	// if user is "", in the byte order of their IDs, starting behind after.
	ListRefreshTokens(user, after string, limit int) ([]RefreshToken, error)

	// CountRefreshTokens returns how many a user of a source has.
	CountRefreshTokens(source, user string) (int, error)

	// DeleteExpiredRefreshTokens removes those whose ExpiresAt is before now,
	// at most limit of them, and returns how many.
	DeleteExpiredRefreshTokens(now time.Time, limit int) (int, error)
}
