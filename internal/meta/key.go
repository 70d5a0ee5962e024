package meta

import "time"

// Key is what a robot or a person signs in with instead of a password. Its secret is
// not stored.
type Key struct {
	ID        string
	Name      string    // no two keys of an owner share one
	Source    string    // the identity source of its owner; "" for a robot
	User      string    // its owner; "" for a robot
	Entry     string    // the ID of the owner's entry in that source; "" if it tells none
	May       []string  // what it may be used for (access.NewKey)
	Hash      []byte    // SHA-256 of the secret
	OldHash   []byte    // of the secret before, which is good until OldUntil; nil if there is none
	OldUntil  time.Time // zero without one
	CreatedAt time.Time
	SecretAt  time.Time // when the secret was made
	ExpiresAt time.Time // zero: never
	UsedAt    time.Time // zero: not yet
}

// Keys are found by their ID.
type Keys interface {
	// Key returns a key.
	//
	// Errors: ErrNotFound.
	Key(id string) (Key, error)

	// SaveKey makes a key or replaces it. Whoever makes one has seen in the same
	// transaction that its owner has none of that name: otherwise it is a fault.
	SaveKey(k Key) error

	// DeleteKey removes a key.
	//
	// Errors: ErrNotFound.
	DeleteKey(id string) error

	// ListKeys returns at most limit keys in the byte order of their IDs, starting
	// behind after ("" for all).
	ListKeys(after string, limit int) ([]Key, error)

	// KeysOf returns at most limit keys of an owner in the byte order of their
	// names; those of robots if both are "".
	KeysOf(source, user string, limit int) ([]Key, error)

	// NoteKeyUse sets UsedAt, unless it is later already or the key is gone. It
	// changes nothing else of the key.
	NoteKeyUse(id string, at time.Time) error

	// DeleteExpiredKeys removes those whose ExpiresAt is before a time, at most
	// limit of them, and returns how many.
	DeleteExpiredKeys(before time.Time, limit int) (int, error)
}
