// Package keyring keeps what a user signs in to registries with, in files that only
// the user can read: a directory for each registry.
package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moorgate/moorgate/internal/atomicfile"
)

const (
	fileName = "credential.json" // in the directory of a registry
	maxFile  = 256 << 10         // bytes
	version  = 1                 // of the form of the file
)

// ErrNotFound says that there is nothing for a registry.
var ErrNotFound = errors.New("nobody is signed in to this registry")

// Credential is what a user signs in to one registry with. One of Password, Refresh,
// Identity and OIDC is set.
type Credential struct {
	Version int    `json:"version"`
	User    string `json:"user"`         // as the user has given it
	CA      string `json:"ca,omitempty"` // PEM file of the authorities of the registry; "" for the usual ones

	TokenURL  string `json:"token_url,omitempty"`  // where sessions come from
	RevokeURL string `json:"revoke_url,omitempty"` // where Refresh is given back

	Password string `json:"password,omitempty"` // a key, or a password that gets no refresh token
	Refresh  string `json:"refresh,omitempty"`  // a refresh token for sessions
	Identity string `json:"identity,omitempty"` // a refresh token that docker got itself, for the registry
	OIDC     *OIDC  `json:"oidc,omitempty"`     // a login at an identity provider

	Session *Session `json:"session,omitempty"` // what it was last exchanged for

	// Unreachable is when the server was last found to be away, to spare those who have
	// waited for that from finding it again. Zero: it was not, or has answered since.
	Unreachable time.Time `json:"unreachable,omitzero"`
}

// OIDC is a login at an identity provider (OpenID Connect).
type OIDC struct {
	Issuer   string   `json:"issuer"`
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes"`
	CA       string   `json:"ca,omitempty"` // PEM file of the authorities of the provider
	Refresh  string   `json:"refresh"`      // the refresh token of the provider
}

// Session is a name and a secret that are good for a short time.
type Session struct {
	User    string    `json:"user"`
	Secret  string    `json:"secret"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// Keyring is a directory of credentials. It may be used at once by many processes.
type Keyring struct {
	Dir string // made when something is kept
}

// path returns the file of a registry. host has the form of client.Host.
func (k Keyring) path(host string) string { return filepath.Join(k.Dir, host, fileName) }

// Read returns the credential of a registry.
//
// Errors: ErrNotFound.
func (k Keyring) Read(host string) (Credential, error) {
	path := k.path(host)
	data, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Credential{}, ErrNotFound
	}
	if err != nil {
		return Credential{}, err
	}
	var c Credential
	if err := json.Unmarshal(data, &c); err != nil { // its error may quote a character, no more
		return Credential{}, fmt.Errorf("%s is damaged: remove it and sign in again: %w", path, err)
	}
	if c.Version != version {
		return Credential{}, fmt.Errorf("%s is of another version of moorgate: remove it and sign in again", path)
	}
	return c, nil
}

// readSecret reads a file that nobody else can read.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("others can read %s, which has mode %04o: remove it, sign in again, and have what was in it revoked", path, mode)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes: remove it and sign in again", path, maxFile)
	}
	return data, err
}

// Write keeps the credential of a registry in place of what was there.
func (k Keyring) Write(host string, c Credential) error {
	c.Version = version
	data, err := json.MarshalIndent(c, "", "  ") //nolint:gosec // keeping secrets is the job, in a file of mode 0600
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(k.path(host)), 0o700); err != nil {
		return err
	}
	// A file with another mode would keep it.
	if info, err := os.Lstat(k.path(host)); err == nil && info.Mode() != 0o600 {
		if err := os.Remove(k.path(host)); err != nil {
			return err
		}
	}
	return atomicfile.Write(k.path(host), append(data, '\n'), 0o600)
}

// Remove forgets the credential of a registry.
//
// Errors: ErrNotFound.
func (k Keyring) Remove(host string) error {
	err := os.Remove(k.path(host))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err // the directory stays: others may be waiting for its lock
}

// Lock waits until no other process changes the credential of a registry, or ctx ends,
// and returns a function that lets the next one go. It ends with the process.
func (k Keyring) Lock(ctx context.Context, host string) (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(k.path(host)), 0o700); err != nil {
		return nil, err
	}
	return atomicfile.LockContext(ctx, filepath.Join(k.Dir, host, "lock")) // the lock is on the directory
}

// Hosts returns the registries that there is something for, in order.
func (k Keyring) Hosts() ([]string, error) {
	entries, err := os.ReadDir(k.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var hosts []string
	for _, e := range entries {
		if _, err := os.Stat(k.path(e.Name())); err == nil {
			hosts = append(hosts, e.Name())
		}
	}
	slices.Sort(hosts)
	return hosts, nil
}
