package htpasswd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/moorgate/moorgate/internal/atomicfile"
	"github.com/moorgate/moorgate/internal/authn"
)

// Costs of bcrypt for new passwords. Each step doubles the work.
const (
	MinCost     = 4
	MaxCost     = 15
	DefaultCost = 10
)

// Change tells what an edit of a password file did.
type Change struct {
	Created  bool // there was no file
	Replaced bool // the user was there

	// Problem is what is wrong with another line of the file, or nil. It was
	// so before; the edit was made.
	Problem error
}

// Hash returns the bcrypt hash of password for a password file. Empty
// passwords, those with a zero byte, and those longer than 72 bytes, of which
// bcrypt would ignore the rest, are errors.
func Hash(password string, cost int) (string, error) {
	switch {
	case cost < MinCost || cost > MaxCost:
		return "", fmt.Errorf("the cost is %d, but must be from %d to %d", cost, MinCost, MaxCost)
	case password == "":
		return "", errors.New("the password is empty")
	case strings.ContainsRune(password, 0):
		return "", errors.New("the password has a zero byte")
	case len(password) > maxBcryptLength:
		return "", fmt.Errorf("the password has %d bytes; bcrypt takes at most %d", len(password), maxBcryptLength)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return "", err
	}
	// $2y$ is what Apache's htpasswd writes and what all readers know; the
	// computation is the same.
	return "$2y$" + strings.TrimPrefix(string(hash), "$2a$"), nil
}

// Set gives user the hash in the password file at path, and makes the file,
// with mode 0600, if there is none. The file changes in one step and survives
// a crash; two edits at once both take effect.
func Set(path, user, hash string) (Change, error) {
	if err := CheckUser(user); err != nil {
		return Change{}, err
	}
	if _, err := parseSecret(hash); err != nil {
		return Change{}, err
	}
	return edit(path, true, func(d *document) (bool, error) { return d.set(user, hash), nil })
}

// Remove takes user out of the password file at path, like Set.
//
// Errors: authn.ErrNoMatch if user is not in it.
func Remove(path, user string) (Change, error) {
	return edit(path, false, func(d *document) (bool, error) {
		if !d.remove(user) {
			return false, authn.ErrNoMatch
		}
		return true, nil
	})
}

// edit reads, changes and writes the file under a lock. change reports whether
// the user was there.
func edit(path string, create bool, change func(*document) (bool, error)) (c Change, err error) {
	unlock, err := atomicfile.Lock(path)
	if err != nil {
		return Change{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	text, err := readAll(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		c.Created, err = true, nil
	}
	if err != nil {
		return Change{}, err
	}
	doc, err := readDocument(text)
	if err != nil {
		return Change{}, fmt.Errorf("%s: %w", path, err)
	}
	if c.Replaced, err = change(doc); err != nil {
		return Change{}, err
	}
	if len(doc.String()) > maxFileSize {
		return Change{}, fmt.Errorf("%s: the file would be larger than %d MiB", path, maxFileSize>>20)
	}
	if err := atomicfile.Write(path, []byte(doc.String()), 0o600); err != nil {
		return Change{}, err
	}
	_, c.Problem = Parse(strings.NewReader(doc.String()))
	return c, nil
}

func readAll(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if len(data) > maxFileSize {
		return "", fmt.Errorf("%s is larger than %d MiB; this is not a password file", path, maxFileSize>>20)
	}
	return string(data), err
}
