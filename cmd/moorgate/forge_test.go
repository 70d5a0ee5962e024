package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"
)

const forgeUsage = "usage: forge NAME TOKEN none|kept|ec|rsa|mac:FILE|key:FILE [HEADER [CLAIMS]]"

// forge makes a token of a genuine one, and sets $NAME to it:
//
//	forge NAME TOKEN SIGNATURE [HEADER [CLAIMS]]
//
// HEADER and CLAIMS are JSON objects that are written over those of the token; a
// member that is null is left out, and "jwk": "mine" becomes the public key of
// the signature. SIGNATURE is one of
//
//	none        nothing
//	kept        that of the genuine token
//	ec, rsa     by a key of mallory's own: ES256 or RS256
//	mac:FILE    HS256, with the content of a file as the secret
//	key:FILE    ES256, by the private key in a PEM file, which may be a pattern
//	            that one file matches
func forge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 5 {
		ts.Fatalf(forgeUsage)
	}
	args = append(args, "{}", "{}")[:5] // what is not given changes nothing
	parts := strings.Split(args[1], ".")
	if len(parts) != 3 {
		ts.Fatalf("not a token: %s", args[1])
	}
	sign, public := signature(ts, args[2], parts[2])
	header, claims := overwritten(ts, parts[0], args[3]), overwritten(ts, parts[1], args[4])
	if header["jwk"] == "mine" {
		header["jwk"] = jose.JSONWebKey{Key: public}
	}
	input := encoded(ts, header) + "." + encoded(ts, claims)
	ts.Setenv(args[0], input+"."+sign(input))
}

// showClaims prints the claims of a token:
//
//	claims TOKEN
func showClaims(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || strings.Count(args[0], ".") != 2 {
		ts.Fatalf("usage: claims TOKEN")
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(args[0], ".")[1])
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", text)
}

// publicPEM writes a file with the one key of a JWKS, as PEM: what anybody can
// make of what a token server publishes.
//
//	pem JWKS FILE
func publicPEM(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pem JWKS FILE")
	}
	var set jose.JSONWebKeySet
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &set))
	if len(set.Keys) != 1 {
		ts.Fatalf("%s has %d keys", args[0], len(set.Keys))
	}
	der, err := x509.MarshalPKIXPublicKey(set.Keys[0].Key)
	ts.Check(err)
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), block, 0o600))
}

// overwritten reads a part of a token, and writes the members of more over it.
func overwritten(ts *testscript.TestScript, part, more string) map[string]any {
	text, err := base64.RawURLEncoding.DecodeString(part)
	ts.Check(err)
	var all, changes map[string]any
	ts.Check(json.Unmarshal(text, &all))
	if err := json.Unmarshal([]byte(more), &changes); err != nil {
		ts.Fatalf("%s: %v", more, err)
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

func encoded(ts *testscript.TestScript, part map[string]any) string {
	text, err := json.Marshal(part)
	ts.Check(err)
	return base64.RawURLEncoding.EncodeToString(text)
}

// signature returns what makes the last part of a token, and the public key for
// it, nil if there is none.
func signature(ts *testscript.TestScript, how, genuine string) (func(input string) string, crypto.PublicKey) {
	kind, file, _ := strings.Cut(how, ":")
	switch kind {
	case "none":
		return func(string) string { return "" }, nil
	case "kept":
		return func(string) string { return genuine }, nil
	case "mac":
		secret := []byte(ts.ReadFile(file))
		return func(input string) string {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		}, nil
	}
	key, err := signingKey(ts, kind, file)
	ts.Check(err)
	return func(input string) string {
		made, err := signed(key, input)
		ts.Check(err)
		return base64.RawURLEncoding.EncodeToString(made)
	}, key.Public()
}

func signingKey(ts *testscript.TestScript, kind, file string) (crypto.Signer, error) {
	switch kind {
	case "ec":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "key":
		return readSigningKey(ts, file)
	default:
		return nil, errors.New(forgeUsage)
	}
}

func readSigningKey(ts *testscript.TestScript, pattern string) (crypto.Signer, error) {
	files, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(files) != 1 {
		return nil, fmt.Errorf("%s: %d files match", pattern, len(files))
	}
	block, _ := pem.Decode([]byte(ts.ReadFile(files[0])))
	if block == nil {
		return nil, fmt.Errorf("%s has no key", files[0])
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s has no EC key", files[0])
	}
	return signer, nil
}

// signed makes the signature of a JWS (RFC 7518, sections 3.3 and 3.4).
func signed(key crypto.Signer, input string) ([]byte, error) {
	sum := sha256.Sum256([]byte(input))
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		return nil, err
	}
	const half = 32
	return append(r.FillBytes(make([]byte, half)), s.FillBytes(make([]byte, half))...), nil
}
