package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms of signatures (RFC 7518, section 3.1; RFC 8037) that keys of ours
// are made for. Registry 2 verifies no EdDSA.
const (
	ES256 = "ES256"
	RS256 = "RS256"
	EdDSA = "EdDSA"
)

// Sizes of RSA keys in bits: of ours, and of those that are taken.
const (
	ownRSA = 3072
	minRSA = 2048
)

// asymmetric are the algorithms that tokens may be signed with at all: none and
// those with a shared secret are not among them.
var asymmetric = []jose.SignatureAlgorithm{ //nolint:gochecknoglobals // a lookup table, never written
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
}

// isAsymmetric reports whether alg is one that tokens may be signed with.
func isAsymmetric(alg string) bool {
	return slices.Contains(asymmetric, jose.SignatureAlgorithm(alg))
}

// generate makes a private key for alg, one of the constants above.
func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, ownRSA)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, checkOwn(alg)
}

// checkOwn returns an error unless keys of ours are made for alg.
func checkOwn(alg string) error {
	switch alg {
	case ES256, RS256, EdDSA:
		return nil
	}
	return fmt.Errorf("there are no signing keys for the algorithm %q: choose ES256, RS256 or EdDSA", alg)
}

// natural returns the algorithm of a public key that is given without one, or an
// error if tokens cannot be verified with such a key.
func natural(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return ES256, nil
		case elliptic.P384():
			return string(jose.ES384), nil
		case elliptic.P521():
			return string(jose.ES512), nil
		}
		return "", fmt.Errorf("no signing algorithm uses the curve %s", key.Params().Name)
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSA || n > jose.MaxRSAModulusBits {
			return "", fmt.Errorf("an RSA key must have from %d to %d bits, not %d", minRSA, jose.MaxRSAModulusBits, n)
		}
		return RS256, nil
	case ed25519.PublicKey:
		return EdDSA, nil
	}
	return "", errors.New("not a key for ECDSA, RSA or Ed25519")
}

// newKey returns the public key with its ID and the algorithm alg, or its natural
// one if alg is "".
func newKey(id, alg string, public crypto.PublicKey) (Key, error) {
	own, err := natural(public)
	if err != nil {
		return Key{}, err
	}
	_, isRSA := public.(*rsa.PublicKey)
	switch {
	case alg == "":
		alg = own
	case isRSA && (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")):
	case alg != own:
		return Key{}, fmt.Errorf("the algorithm %q does not fit the key, whose algorithm is %s", alg, own)
	}
	return Key{ID: id, Algorithm: alg, Public: public}, nil
}

// equal reports whether both are one key with one algorithm.
func (k Key) equal(other Key) bool {
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == other.ID && k.Algorithm == other.Algorithm && public.Equal(other.Public)
}

// thumbprint returns the ID that a public key has by itself: base64url of the
// SHA-256 of its JWK (RFC 7638).
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// fingerprint returns the ID that older token servers give to a public key: the
// first 240 bits of the SHA-256 of its DER in base32, in groups of four
// (github.com/docker/libtrust, "KeyID").
func fingerprint(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	text := base32.StdEncoding.EncodeToString(sum[:30])
	groups := slices.Collect(slices.Chunk([]byte(text), 4))
	parts := make([]string, len(groups))
	for i, g := range groups {
		parts[i] = string(g)
	}
	return strings.Join(parts, ":"), nil
}
