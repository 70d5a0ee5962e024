package token

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorgate/moorgate/internal/atomicfile"
)

// What is in a directory of keys.
const (
	caCertFile = "ca.crt"    // for the "rootcertbundle" of registries
	caKeyFile  = "ca.key"    // mode 0600
	jwksFile   = "jwks.json" // for the "jwks" of registries
	keysDir    = "keys"      // mode 0700: a file *.pem of mode 0600 for each key
)

// Keys are the signing keys in a directory. The newest whose start has come
// signs. All are published, and tokens of all are accepted, until they retire: no
// living token is signed with them. Several processes may share the directory: each
// sees the changes of the others by Reload. It may be used at once by many.
type Keys struct {
	dir     string
	options KeysOptions

	changing sync.Mutex // one reload or change at a time
	current  atomic.Pointer[ring]
}

// ring is what is in the directory at one time. It does not change.
type ring struct {
	keys []*ownKey // by start; the newest last
	byID map[string]*ownKey
	jwks []byte
}

// KeyInfo describes a key of ours to the operator.
type KeyInfo struct {
	ID             string    `json:"id"` // RFC 7638 thumbprint: the kid of tokens
	Algorithm      string    `json:"algorithm"`
	Created        time.Time `json:"created"`
	SignsFrom      time.Time `json:"signs_from"`
	SignsNow       bool      `json:"signs_now"`
	CertificateEnd time.Time `json:"certificate_end"`
	File           string    `json:"file"` // its path
}

// OpenKeys reads the keys in dir. If there are none it makes dir, an authority and
// a first key. If the key that signs is not for the algorithm of o, it makes one
// that is and that signs at once.
func OpenKeys(dir string, o KeysOptions) (*Keys, error) {
	k := &Keys{dir: dir, options: o.withDefaults()}
	if err := checkOwn(k.options.Algorithm); err != nil {
		return nil, err
	}
	// The certificate and the JWKS are no secrets: whoever reaches dir may read them.
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // what is secret in it has a mode of its own
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, keysDir), 0o700); err != nil {
		return nil, err
	}
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, err
	}
	if err := k.change(k.settle); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the directory again, and removes keys that have retired; call it now
// and then. If that fails, the keys stay as they were.
func (k *Keys) Reload() error { return k.change(k.retire) }

// change runs do while no other process changes the directory, and then reads it.
func (k *Keys) change(do func() error) (err error) {
	k.changing.Lock()
	defer k.changing.Unlock()
	unlock, err := atomicfile.Lock(filepath.Join(k.dir, caCertFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := do(); err != nil {
		return err
	}
	r, err := k.read()
	if err != nil {
		return err
	}
	if len(r.keys) == 0 {
		return fmt.Errorf("no signing key is in %s; put them back, or start anew to make one", filepath.Join(k.dir, keysDir))
	}
	k.current.Store(r)
	return k.publish(r.jwks)
}

// read reads all keys.
func (k *Keys) read() (*ring, error) {
	names, err := k.names()
	if err != nil {
		return nil, err
	}
	ca, err := readCACert(k.dir)
	if err != nil {
		return nil, err
	}
	r := &ring{byID: map[string]*ownKey{}}
	for _, name := range names {
		key, err := readKey(filepath.Join(k.dir, keysDir, name), ca)
		if err != nil {
			return nil, err
		}
		if twin := r.byID[key.ID]; twin != nil {
			return nil, fmt.Errorf("the signing key in %s is also in %s: remove one of them from %s", name, twin.file, filepath.Join(k.dir, keysDir))
		}
		r.keys = append(r.keys, key)
		r.byID[key.ID] = key
	}
	slices.SortFunc(r.keys, func(a, b *ownKey) int {
		if c := a.start.Compare(b.start); c != 0 {
			return c
		}
		return strings.Compare(a.file, b.file) // which begins with a number
	})
	r.jwks, err = encodeJWKS(r.keys)
	return r, err
}

// names returns the files of keys. What others put there is left alone, and so are
// files that are being written.
func (k *Keys) names() ([]string, error) {
	dir := filepath.Join(k.dir, keysDir)
	for _, d := range []string{k.dir, dir} {
		info, err := os.Stat(d)
		if err != nil {
			return nil, err
		}
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			return nil, fmt.Errorf("others may put signing keys into %s, which has mode %04o: make it private (chmod go-w %s)", d, mode, d)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".pem" && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// publish keeps the JWKS file up to date.
func (k *Keys) publish(jwks []byte) error {
	path := filepath.Join(k.dir, jwksFile)
	old, err := readFile(path)
	if err == nil && string(old) == string(jwks) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.Write(path, jwks, 0o644)
}

// signer returns the key that signs at the time now.
func (r *ring) signer(now time.Time) *ownKey {
	for _, key := range slices.Backward(r.keys) {
		if !key.start.After(now) {
			return key
		}
	}
	return r.keys[0] // the clock went back: better the oldest than none
}

// Key returns the key with that ID. Its error is ErrUnknownKey.
func (k *Keys) Key(_ context.Context, id string) (Key, error) {
	key, ok := k.current.Load().byID[id]
	if !ok {
		return Key{}, ErrUnknownKey
	}
	return key.Key, nil
}

// JWKS returns all public keys as a JWK set (RFC 7517, section 5). It is not to be
// changed.
func (k *Keys) JWKS() []byte { return k.current.Load().jwks }

// Files returns what changes when another process changes the keys, to be watched.
func (k *Keys) Files() []string {
	return []string{filepath.Join(k.dir, jwksFile), filepath.Join(k.dir, caCertFile), filepath.Join(k.dir, keysDir)}
}

// Dir returns the directory of the keys.
func (k *Keys) Dir() string { return k.dir }

// Derive returns a secret of 32 bytes for a purpose, which is the same as long as
// the authority is: rotation does not change it.
func (k *Keys) Derive(purpose string) ([]byte, error) {
	secret, err := readSecret(filepath.Join(k.dir, caKeyFile))
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, secret, nil, "moorgate "+purpose, sha256.Size) // RFC 5869
}

// List describes all keys, in the order in which they sign.
func (k *Keys) List() []KeyInfo {
	r := k.current.Load()
	now := r.signer(k.options.Now())
	list := make([]KeyInfo, len(r.keys))
	for i, key := range r.keys {
		list[i] = k.info(key)
		list[i].SignsNow = key == now
	}
	return list
}

func (k *Keys) info(key *ownKey) KeyInfo {
	return KeyInfo{
		ID: key.ID, Algorithm: key.Algorithm, Created: key.created, SignsFrom: key.start,
		CertificateEnd: key.cert.NotAfter, File: k.path(key),
	}
}

func (k *Keys) path(key *ownKey) string { return filepath.Join(k.dir, keysDir, key.file) }

// syncDir makes what was made and removed in dir survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
