// Package token makes and verifies signed tokens: JWTs of the Docker token
// specification ("Token Authentication Implementation", RFC 7519).
package token

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/moorgate/moorgate/internal/access"
)

// Claims are the content of a token. Times have a precision of seconds.
type Claims struct {
	Issuer   string
	Audience string          // the service that the token is for
	Who      access.Identity // sub; source, groups and key in a claim of our own, "moorgate"
	Access   []access.Grant
	ID       string // jti
	IssuedAt time.Time
	Expires  time.Time
	Session  *Session // nil: it is an ordinary token
}

// Session marks a token that stands for a login as a whole, and not for what it
// lists. Only a Verifier of sessions takes it; that one takes nothing else.
type Session struct {
	Bound string `json:"bound"` // what must not have changed since; "" for nothing
}

// Key is a public key that tokens are verified with. Its algorithm is the only
// one that is taken for it, whatever the header of a token says.
type Key struct {
	ID        string // RFC 7638 thumbprint, for keys of ours
	Algorithm string // ES256, RS256, EdDSA; of others also ES384, ES512, RS384, RS512, PS256, PS384, PS512
	Public    crypto.PublicKey
}

// ErrUnknownKey says that a KeySet has no such key.
var ErrUnknownKey = errors.New("the key is not known")

// KeySet finds keys. The header of a token selects among them and adds none.
type KeySet interface {
	// Key returns the key with that ID. It may be called at once by many.
	//
	// Errors: ErrUnknownKey; others mean that the keys cannot be had now.
	Key(ctx context.Context, id string) (Key, error)
}
