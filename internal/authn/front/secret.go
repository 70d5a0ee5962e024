package front

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
)

// secrets are what a proxy shows besides: two while one replaces the other.
type secrets struct {
	file   string
	hashes atomic.Pointer[[][sha256.Size]byte]
}

// Bounds of a file of secrets, in bytes; and how many secrets there may be.
const (
	maxFile    = 64 << 10
	minSecret  = 16
	maxSecrets = 10
)

// reload reads the file: a secret in each line.
func (s *secrets) reload() error {
	f, err := os.Open(s.file)
	if err != nil {
		return fmt.Errorf("the secret of the proxy (secret_file): %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return fmt.Errorf("the secret of the proxy (secret_file): %w", err)
	case len(text) > maxFile:
		return fmt.Errorf("the secret of the proxy (secret_file): %s is larger than %d KiB", s.file, maxFile>>10)
	}
	var hashes [][sha256.Size]byte
	for line := range strings.Lines(string(text)) {
		secret := strings.TrimSpace(line)
		if secret == "" {
			continue
		}
		if len(secret) < minSecret {
			return fmt.Errorf("the secret of the proxy (secret_file): a line of %s has %d characters, at least %d are needed, such as of \"openssl rand -hex 32\"", s.file, len(secret), minSecret)
		}
		hashes = append(hashes, sha256.Sum256([]byte(secret)))
	}
	if len(hashes) == 0 || len(hashes) > maxSecrets {
		return fmt.Errorf("the secret of the proxy (secret_file): %s has %d lines with a secret, and should have one, or two while one replaces the other", s.file, len(hashes))
	}
	s.hashes.Store(&hashes)
	return nil
}

// check compares what a proxy shows with all secrets, in the same time whatever it
// is.
func (s *secrets) check(header string, shown []string) error {
	if s == nil {
		return nil
	}
	if len(shown) != 1 {
		return fmt.Errorf("%s is there %d times, and has to be there once", header, len(shown))
	}
	hash, right := sha256.Sum256([]byte(shown[0])), 0
	for _, good := range *s.hashes.Load() {
		right |= subtle.ConstantTimeCompare(hash[:], good[:])
	}
	if right != 1 {
		return errors.New(header + " has another secret than secret_file")
	}
	return nil
}
