// Package htpasswd is the identity source for password files as nginx and
// Apache httpd use them, and writes such files.
package htpasswd

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moorgate/moorgate/internal/authn"
)

// Bounds on a password file.
const (
	maxFileSize = 8 << 20 // bytes
	maxUsers    = 100_000
	maxUserName = 255 // bytes, as in Apache's htpasswd
)

// Users is the content of a password file. It does not change.
type Users struct {
	entries []Entry // in the order of the file
	byName  map[string]int
}

// Entry is a user of a password file.
type Entry struct {
	User string
	Kind string // such as Bcrypt
	Cost int    // of bcrypt; rounds of SHA crypt if the hash names them; else 0
	Line int    // in the file, from 1

	secret secret
}

// Parse reads a password file: lines of USER:HASH, or USER:HASH:ANYTHING;
// blank lines and lines that begin with # count for nothing; lines may end in
// CR LF. Errors say the line and never a hash. One bad line makes the whole
// file bad: a user who is silently left out is worse than an error.
func Parse(r io.Reader) (*Users, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("larger than %d MiB; this is not a password file", maxFileSize>>20)
	}
	u := &Users{byName: make(map[string]int)}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if err := u.add(number, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return u, nil
}

func (u *Users) add(number int, line string) error {
	user, hash, ok, err := splitLine(line)
	if err != nil || !ok {
		return err
	}
	if err := CheckUser(user); err != nil {
		return err
	}
	if first, ok := u.byName[user]; ok {
		return fmt.Errorf("user %q is on line %d already; keep one of them", user, u.entries[first].Line)
	}
	if len(u.entries) == maxUsers {
		return fmt.Errorf("more than %d users", maxUsers)
	}
	s, err := parseSecret(hash)
	if err != nil {
		return fmt.Errorf("user %q: %w; set the password again with \"moorgate passwd add\"", user, err)
	}
	u.byName[user] = len(u.entries)
	u.entries = append(u.entries, Entry{User: user, Kind: s.kind, Cost: s.cost, Line: number, secret: s})
	return nil
}

// splitLine returns the user and the hash of a line; ok is false for a blank
// line or a comment.
func splitLine(line string) (user, hash string, ok bool, err error) {
	line = strings.TrimRightFunc(line, unicode.IsSpace)
	if line == "" || strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
		return "", "", false, nil
	}
	user, rest, found := strings.Cut(line, ":")
	if !found {
		return "", "", false, errors.New("not USER:HASH, and not a comment (#)")
	}
	hash, _, _ = strings.Cut(rest, ":")
	return user, hash, true, nil
}

// CheckUser says what is wrong with a user name for a password file: it must
// have 1 to 255 bytes, all printable, without a colon, without space at either
// end, and must not begin with #.
func CheckUser(user string) error {
	switch {
	case user == "":
		return errors.New("the user name is empty")
	case len(user) > maxUserName:
		return fmt.Errorf("the user name is longer than %d bytes", maxUserName)
	case !utf8.ValidString(user) || strings.ContainsFunc(user, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("the user name %q has characters that cannot be printed", user)
	case strings.Contains(user, ":"):
		return fmt.Errorf("the user name %q has a colon, which the file format cannot hold", user)
	case strings.HasPrefix(user, "#"):
		return fmt.Errorf("the user name %q begins with #, which makes the line a comment", user)
	case strings.TrimSpace(user) != user:
		return fmt.Errorf("the user name %q has space around it", user)
	}
	return nil
}

// Len returns the number of users.
func (u *Users) Len() int { return len(u.entries) }

// Entries returns all users in the order of the file.
func (u *Users) Entries() []Entry { return append([]Entry(nil), u.entries...) }

// Verify checks the password of a user, without a limit on how many do so at
// once: it is for commands, not for servers.
//
// Errors: authn.ErrNoMatch, authn.ErrWrongPassword.
func (u *Users) Verify(user, password string) error {
	i, ok := u.byName[user]
	if !ok {
		return authn.ErrNoMatch
	}
	if !u.entries[i].secret.matches(password) {
		return authn.ErrWrongPassword
	}
	return nil
}
