package token

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/atomicfile"
)

// Defaults of KeysOptions.
const (
	DefaultOverlap = 10 * time.Minute
	DefaultMaxTTL  = time.Hour
)

// AtOnce is the Overlap of keys that sign as soon as they are made, though those
// who remember the JWKS do not know them yet.
const AtOnce time.Duration = -1

// retireMargin is how much longer than its tokens a key is kept: clocks differ,
// and another process may sign with it until its next Reload.
const retireMargin = 10 * time.Minute

// KeysOptions say how keys are made.
type KeysOptions struct {
	Algorithm string           // ES256 (the default), RS256 or EdDSA
	Overlap   time.Duration    // how long a key is published before it signs; 0 is DefaultOverlap; or AtOnce
	MaxTTL    time.Duration    // the longest life of a token, which bounds what Sign does; 0 is DefaultMaxTTL
	Now       func() time.Time // nil is time.Now
}

func (o KeysOptions) withDefaults() KeysOptions {
	if o.Algorithm == "" {
		o.Algorithm = ES256
	}
	if o.Overlap == 0 {
		o.Overlap = DefaultOverlap
	}
	o.Overlap = max(o.Overlap, 0)
	if o.MaxTTL <= 0 {
		o.MaxTTL = DefaultMaxTTL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Rotation tells what Rotate or Revoke did.
type Rotation struct {
	Made    *KeyInfo  `json:"made"`    // nil if no key was made
	Removed []KeyInfo `json:"removed"` // tokens that they signed are not accepted any more
}

// Rotate makes a new key, which is published and accepted at once and signs after
// the overlap.
func (k *Keys) Rotate() (Rotation, error) {
	var done Rotation
	err := k.change(func() error {
		r, err := k.read()
		if err != nil {
			return err
		}
		now := k.options.Now()
		if done.Made, err = k.make(r, now, now.Add(k.options.Overlap)); err != nil {
			return err
		}
		done.Removed, err = k.remove(r.retired(k.retireLimit()))
		return err
	})
	return done, err
}

// Revoke removes a key, so that its tokens end here at once; other processes and
// registries end them when they read the keys again. If it is the key that signs
// now, another one is made, which signs at once.
//
// Errors: ErrUnknownKey.
func (k *Keys) Revoke(id string) (Rotation, error) {
	var done Rotation
	err := k.change(func() error {
		r, err := k.read()
		if err != nil {
			return err
		}
		key, ok := r.byID[id]
		if !ok {
			return fmt.Errorf("no signing key in %s has the ID %q: %w", k.dir, id, ErrUnknownKey)
		}
		now := k.options.Now()
		if r.signer(now) == key {
			if done.Made, err = k.make(r, now, now); err != nil {
				return err
			}
		}
		done.Removed, err = k.remove([]*ownKey{key})
		return err
	})
	return done, err
}

// retire removes keys that no living token is signed with.
func (k *Keys) retire() error {
	r, err := k.read()
	if err != nil {
		return err
	}
	_, err = k.remove(r.retired(k.retireLimit()))
	return err
}

// retireLimit is when a key must have begun to sign so that no token of the one
// before it lives.
func (k *Keys) retireLimit() time.Time {
	return k.options.Now().Add(-k.options.MaxTTL - retireMargin)
}

// settle makes what is missing: the authority, a key, a key of the algorithm that
// is wanted now.
func (k *Keys) settle() error {
	now := k.options.Now()
	if err := k.ensureAuthority(now); err != nil {
		return err
	}
	r, err := k.read()
	if err != nil {
		return err
	}
	// Keys of another algorithm that have not signed yet never will.
	var never []*ownKey
	for _, key := range r.keys {
		if key.start.After(now) && key.Algorithm != k.options.Algorithm {
			never = append(never, key)
		}
	}
	if len(r.keys) == len(never) || r.signer(now).Algorithm != k.options.Algorithm {
		if _, err := k.make(r, now, now); err != nil {
			return err
		}
	}
	if _, err = k.remove(never); err != nil {
		return err
	}
	return k.retire()
}

func (k *Keys) ensureAuthority(now time.Time) error {
	path := filepath.Join(k.dir, caCertFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names, err := k.names()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("%s is missing, but there are keys in %s; put it back, or remove those to start anew", path, filepath.Join(k.dir, keysDir))
	}
	a, err := newAuthority(now)
	if err != nil {
		return err
	}
	return a.write(k.dir)
}

// retired returns the keys whose successor signs since before the time limit.
func (r *ring) retired(limit time.Time) []*ownKey {
	last := 0
	for i, key := range r.keys {
		if key.start.Before(limit) {
			last = i
		}
	}
	return r.keys[:min(last, len(r.keys))]
}

// generateNamed makes a private key for alg, and its ID. One with an ID that begins
// with a dash is not taken: on a command line it would look like a flag.
func generateNamed(alg string) (crypto.Signer, string, error) {
	for {
		private, err := generate(alg)
		if err != nil {
			return nil, "", err
		}
		id, err := thumbprint(private.Public())
		if err != nil || !strings.HasPrefix(id, "-") {
			return private, id, err
		}
	}
}

// make writes a new key that signs from start on.
func (k *Keys) make(r *ring, now, start time.Time) (*KeyInfo, error) {
	a, err := readAuthority(k.dir)
	if err != nil {
		return nil, err
	}
	private, id, err := generateNamed(k.options.Algorithm)
	if err != nil {
		return nil, err
	}
	cert, err := a.issue(private.Public(), id, now)
	if err != nil {
		return nil, fmt.Errorf("cannot make a signing key: %w; remove %s, %s and %s to start anew, and give the new %s to the registries",
			err, filepath.Join(k.dir, caCertFile), caKeyFile, keysDir, caCertFile)
	}
	data, err := encodeFile(private, cert, now, start)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(data, a.cert) // so that nothing is written that cannot be read
	if err != nil {
		return nil, err
	}
	key.file = r.nextFile()
	if err := atomicfile.Write(k.path(key), data, 0o600); err != nil {
		return nil, err
	}
	info := k.info(key)
	return &info, nil
}

// nextFile returns the name of the file of a new key. Names are numbers that
// grow, so that of two keys with one start the newer one comes later.
func (r *ring) nextFile() string {
	last := 0
	for _, key := range r.keys {
		var n int
		if _, err := fmt.Sscanf(key.file, "%d.pem", &n); err == nil {
			last = max(last, n)
		}
	}
	return fmt.Sprintf("%06d.pem", last+1)
}

func (k *Keys) remove(keys []*ownKey) ([]KeyInfo, error) {
	removed := []KeyInfo{}
	for _, key := range keys {
		if err := os.Remove(k.path(key)); err != nil {
			return removed, err
		}
		removed = append(removed, k.info(key))
	}
	if len(removed) == 0 {
		return removed, nil
	}
	return removed, syncDir(filepath.Join(k.dir, keysDir))
}
