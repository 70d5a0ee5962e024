package refresh

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"regexp"
	"strings"
	"unicode"
)

// prefix marks refresh tokens, so that people and scanners know what they found.
const prefix = "mgr_"

// A token is mgr_ID_SECRET. 10 bytes make an ID of 16 characters, 25 bytes (200
// bits) a secret of 40.
const (
	idBytes     = 10
	secretBytes = 25
	maxToken    = len(prefix) + 16 + 1 + 40
)

var (
	idForm    = regexp.MustCompile(`^[a-z0-9]{16}$`)
	tokenForm = regexp.MustCompile(`^` + prefix + `([a-z0-9]{16})_([a-z0-9]{40})$`)
)

// secret is a token as its client holds it.
type secret struct{ id, secret string }

func newSecret() secret { return secret{id: random(idBytes), secret: random(secretBytes)} }

// parse reads a token.
func parse(token string) (secret, bool) {
	if len(token) > maxToken {
		return secret{}, false
	}
	m := tokenForm.FindStringSubmatch(token)
	if m == nil {
		return secret{}, false
	}
	return secret{id: m[1], secret: m[2]}, true
}

func isID(id string) bool { return idForm.MatchString(id) }

// String is the token as the client gets it.
func (s secret) String() string { return prefix + s.id + "_" + s.secret }

// hash is what is stored of a secret, which is random and long: nobody can guess
// it from a fast hash without salt.
func (s secret) hash() []byte {
	sum := sha256.Sum256([]byte(s.secret))
	return sum[:]
}

// matches reports whether hash is that of the secret, in constant time.
func (s secret) matches(hash []byte) bool {
	return subtle.ConstantTimeCompare(s.hash(), hash) == 1
}

// random returns n random bytes as lower-case letters and digits.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

// bind returns the SHA-256 of a user and the stamp of their password. Each text
// has its length before it: no two users share one.
func bind(source, user, stamp string) []byte {
	h := sha256.New()
	for _, text := range []string{source, user, stamp} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		h.Write(length[:])
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}

// maxClient bounds how much is kept of what a client calls itself, in bytes.
const maxClient = 128

// printable returns what of a client's name can be stored and shown on a
// terminal.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name[:min(len(name), 4*maxClient)])
	return strings.ToValidUTF8(name[:min(len(name), maxClient)], "")
}
