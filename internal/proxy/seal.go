package proxy

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/moorgate/moorgate/internal/oci"
)

// KeySize is the length of the key of a Sealer, in bytes.
const KeySize = chacha20poly1305.KeySize

const (
	maxID         = 2000           // characters of an upload id; what package route takes
	defaultExpiry = 24 * time.Hour // of an upload that rests
	stampSize     = 8              // bytes of a time: microseconds since 1970
)

// Sealer makes the ids of upload sessions. An id holds where the session is in the
// upstream registry, encrypted and bound to upstream, repository and owner, so
// that no table of sessions is needed: whoever has the key goes on with any
// upload. It may be used at once by many.
type Sealer struct {
	Expiry time.Duration    // how long an upload may rest; 24 hours if 0
	Now    func() time.Time // time.Now if nil

	aead cipher.AEAD
}

// NewSealer returns a Sealer with a key of KeySize bytes, which all replicas of a
// gateway share.
func NewSealer(key []byte) (*Sealer, error) {
	// Of the nonces of XChaCha20 as many as one likes may be random.
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("the key of upload ids has %d bytes, it needs %d: %w", len(key), KeySize, err)
	}
	return &Sealer{aead: aead}, nil
}

// seal is an upload session in an upstream registry.
type seal struct {
	Prefix   string // of the route of the upstream
	Repo     string
	Owner    string    // access.Identity.Key
	Location string    // path and query in the upstream; the only part that an id hides
	Started  time.Time // when the session was; in microseconds
}

// bound is what an id is good for, and nothing else. Names hold no zero byte.
func (s seal) bound() []byte {
	return []byte("moorgate upload 1\x00" + s.Prefix + "\x00" + s.Repo + "\x00" + s.Owner)
}

// seal returns an id: letters, digits, "-" and "_", of at most maxID characters.
//
// Errors: BadGateway: the location is too long.
func (l *Sealer) seal(s seal) (string, error) {
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := rand.Read(nonce); err != nil {
		return "", fmt.Errorf("make upload id: %w", err)
	}
	text := make([]byte, 0, 2*stampSize+len(s.Location))
	text = appendTime(text, s.Started)
	text = appendTime(text, l.now())
	text = append(text, s.Location...)
	id := base64.RawURLEncoding.EncodeToString(l.aead.Seal(nonce, nonce, text, s.bound()))
	if len(id) > maxID {
		return "", oci.Errorf(oci.BadGateway, "the upstream registry names the upload by a Location of %d characters, which is too long for the gateway", len(s.Location))
	}
	return id, nil
}

// open returns s with what the id holds, if it was made for the prefix, the
// repository and the owner of s and has not expired.
//
// Errors: BlobUploadUnknown.
func (l *Sealer) open(id string, s seal) (seal, error) {
	box, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(box) < chacha20poly1305.NonceSizeX {
		return seal{}, oci.ErrBlobUploadUnknown
	}
	nonce, box := box[:chacha20poly1305.NonceSizeX], box[chacha20poly1305.NonceSizeX:]
	text, err := l.aead.Open(nil, nonce, box, s.bound())
	if err != nil || len(text) < 2*stampSize {
		return seal{}, oci.ErrBlobUploadUnknown.Because(errors.New("not an upload id of this caller in this repository"))
	}
	if age := l.now().Sub(readTime(text[stampSize:])); age > l.expiry() {
		return seal{}, oci.ErrBlobUploadUnknown.Because(fmt.Errorf("the upload id expired %v ago", age-l.expiry()))
	}
	s.Started, s.Location = readTime(text), string(text[2*stampSize:])
	return s, nil
}

func (l *Sealer) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}

func (l *Sealer) expiry() time.Duration {
	if l.Expiry == 0 {
		return defaultExpiry
	}
	return l.Expiry
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixMicro()))
}

func readTime(b []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(b))) //nolint:gosec // appendTime made it
}
