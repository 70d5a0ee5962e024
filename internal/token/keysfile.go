package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// KeysFile is the keys of a foreign token server in a file. It implements KeySet
// and may be used at once by many.
type KeysFile struct {
	path      string
	reloading sync.Mutex // two reloads must not overtake each other
	current   atomic.Pointer[map[string]Key]
}

// OpenKeysFile reads a file with a JWK set (RFC 7517, section 5), or with
// certificates or public keys in PEM. Of a chain of certificates each is a key, so
// a file must not name authorities.
func OpenKeysFile(path string) (*KeysFile, error) {
	f := &KeysFile{path: path}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the file again. If that fails, the keys stay as they were.
func (f *KeysFile) Reload() error {
	f.reloading.Lock()
	defer f.reloading.Unlock()
	data, err := readFile(f.path)
	if err != nil {
		return fmt.Errorf("keys of a token server: %w", err)
	}
	keys, err := parseKeys(data)
	if err == nil && len(keys) == 0 {
		err = errors.New("no key in it can verify tokens")
	}
	if err != nil {
		return fmt.Errorf("keys of a token server %s: %w", f.path, err)
	}
	f.current.Store(&keys)
	return nil
}

// Files returns the path of the file, to be watched.
func (f *KeysFile) Files() []string { return []string{f.path} }

// Key returns the key with that ID. Its error is ErrUnknownKey.
func (f *KeysFile) Key(_ context.Context, id string) (Key, error) {
	key, ok := (*f.current.Load())[id]
	if !ok {
		return Key{}, ErrUnknownKey
	}
	return key, nil
}
