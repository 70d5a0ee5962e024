package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"regexp"
	"strings"
)

// prefix marks keys, so that people and scanners know what they found.
const prefix = "mgk_"

// A key is mgk_ID SECRET SUM without the spaces, in the letters a to z and the digits
// 2 to 7. 10 bytes make an ID of 16 characters, 25 bytes (200 bits) a secret of 40, and
// the CRC-32 of all before it a sum of 7.
const (
	idBytes     = 10
	secretBytes = 25
	idLen       = 16
	secretLen   = 40
	sumLen      = 7
	keyLen      = len(prefix) + idLen + secretLen + sumLen
)

var (
	idForm  = regexp.MustCompile(`^[a-z2-7]{16}$`)
	keyForm = regexp.MustCompile(`^mgk_[a-z2-7]{63}$`)
)

// secret is a key as its holder has it.
type secret struct{ id, secret string }

func newSecret() secret { return secret{id: random(idBytes), secret: random(secretBytes)} }

// again returns another secret for the same key.
func again(id string) secret { return secret{id: id, secret: random(secretBytes)} }

// LooksLikeKey reports whether text is meant to be a key, if perhaps a spoilt one:
// nobody else is to see it.
func LooksLikeKey(text string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// Why a text is no key.
var (
	errForm = errors.New("it has not the form of a key: was it copied whole, and nothing with it?")
	errSum  = errors.New("it is mistyped: its last characters do not belong to the others")
)

// parse reads a key. Whether there is such a key is another question.
func parse(text string) (secret, error) {
	if len(text) != keyLen || !keyForm.MatchString(text) {
		return secret{}, errForm
	}
	body, given := text[:keyLen-sumLen], text[keyLen-sumLen:]
	if sum(body) != given {
		return secret{}, errSum
	}
	rest := body[len(prefix):]
	return secret{id: rest[:idLen], secret: rest[idLen:]}, nil
}

func isID(text string) bool { return idForm.MatchString(text) }

// String is the key as its holder gets it.
func (s secret) String() string {
	body := prefix + s.id + s.secret
	return body + sum(body)
}

// hash is what is stored of a secret, which is random and long: nobody can guess it
// from a fast hash without salt.
func (s secret) hash() []byte {
	h := sha256.Sum256([]byte(s.secret))
	return h[:]
}

// same compares hashes in constant time.
func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// random returns n random bytes as text.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return encode(b)
}

// sum tells a mistyped key from one that is not known. It is no secret.
func sum(body string) string {
	return encode(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body))))
}

func encode(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}
