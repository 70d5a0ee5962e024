package token

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// encodeJWKS returns the public keys as a JWK set (RFC 7517, section 5).
func encodeJWKS(keys []*ownKey) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(keys))}
	for i, k := range keys {
		set.Keys[i] = jose.JSONWebKey{
			Key: k.Public, KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig",
			Certificates: []*x509.Certificate{k.cert},
		}
	}
	return json.Marshal(set)
}

// parseKeys reads public keys: a JWK set, or PEM blocks with certificates or
// public keys. A key of a PEM block has two IDs: its thumbprint, and its
// fingerprint, because token servers of both habits are configured in this way.
func parseKeys(data []byte) (map[string]Key, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return parseJWKS(data)
	}
	return parsePEM(data)
}

// parseJWKS reads a JWK set. Keys that cannot verify tokens, because of their use,
// type or algorithm, or because they are weak or broken, are left out (RFC 7517,
// section 5); if all are weak or broken, the first of them is the error. There may
// be none: then no token is good. Secrets are refused: a set that has one was made by
// mistake.
func parseJWKS(data []byte) (map[string]Key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("not a JWK set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New(`not a JWK set: it has no list "keys"`)
	}
	keys := map[string]Key{}
	var unusable error
	for i, raw := range set.Keys {
		key, err := parseJWK(raw)
		if err != nil {
			err = fmt.Errorf("key %d of the JWK set: %w", i+1, err)
		}
		if errors.Is(err, errSecret) {
			return nil, err
		}
		if unusable == nil {
			unusable = err
		}
		if key == nil {
			continue
		}
		if _, ok := keys[key.ID]; ok {
			return nil, fmt.Errorf("key %d of the JWK set has the kid %s, as another one has", i+1, quote(key.ID))
		}
		keys[key.ID] = *key
	}
	if len(keys) == 0 {
		return nil, unusable
	}
	return keys, nil
}

// errSecret says that a key must not be where it is.
var errSecret = errors.New("publish only public keys")

// parseJWK reads a JWK. It returns nil for a key that is left out.
//
// Errors: errSecret; others are about a key that is of no use.
func parseJWK(raw []byte) (*Key, error) {
	var kind struct {
		Type string          `json:"kty"`
		Use  string          `json:"use"`
		Alg  string          `json:"alg"`
		Crv  string          `json:"crv"`
		Ops  []string        `json:"key_ops"`
		D    json.RawMessage `json:"d"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, err
	}
	switch {
	case kind.Type == "oct":
		return nil, fmt.Errorf("it is a shared secret (kty oct), and whoever verifies with it could sign; use a key pair: %w", errSecret)
	case kind.D != nil:
		return nil, fmt.Errorf("it is a private key; replace it, as others may have seen it: %w", errSecret)
	case kind.Use != "" && kind.Use != "sig",
		len(kind.Ops) > 0 && !slices.Contains(kind.Ops, "verify"), // RFC 7517, section 4.3
		kind.Alg != "" && !isAsymmetric(kind.Alg),
		!isKnownType(kind.Type, kind.Crv):
		return nil, nil
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if !jwk.IsPublic() {
		return nil, errors.New("it is not a public key")
	}
	id := jwk.KeyID
	if id == "" {
		var err error
		if id, err = thumbprint(jwk.Key); err != nil {
			return nil, err
		}
	}
	key, err := newKey(id, jwk.Algorithm, jwk.Key)
	if err != nil {
		return nil, fmt.Errorf("kid %s: %w", quote(id), err)
	}
	return &key, nil
}

// isKnownType reports whether keys of this type and curve can verify tokens.
func isKnownType(kty, crv string) bool {
	switch kty {
	case "RSA":
		return true
	case "EC":
		return slices.Contains([]string{"P-256", "P-384", "P-521"}, crv)
	case "OKP":
		return crv == "Ed25519"
	}
	return false
}

// parsePEM reads certificates and public keys.
func parsePEM(data []byte) (map[string]Key, error) {
	keys := map[string]Key{}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		public, err := publicOf(block)
		if err == nil {
			_, err = natural(public)
		}
		if err != nil {
			return nil, fmt.Errorf("PEM block %q: %w", block.Type, err)
		}
		for _, name := range []func(crypto.PublicKey) (string, error){thumbprint, fingerprint} {
			id, err := name(public)
			if err != nil {
				return nil, err
			}
			key, err := newKey(id, "", public)
			if err != nil {
				return nil, err
			}
			if _, ok := keys[id]; ok {
				return nil, fmt.Errorf("the key %s is there twice", id)
			}
			keys[id] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("neither a JWK set nor PEM with a certificate or a public key")
	}
	return keys, nil
}

// publicOf returns the public key in a PEM block.
func publicOf(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	}
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, errors.New("tokens are verified with public keys: take the certificate, or the output of openssl pkey -pubout")
	}
	return nil, errors.New("neither a certificate nor a public key")
}
