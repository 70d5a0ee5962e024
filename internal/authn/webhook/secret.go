package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Headers of signed messages, and the parts of a signature and of a secret
// (Standard Webhooks 1.0).
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
	signatureV1     = "v1,"
	secretPrefix    = "whsec_"
)

// Bounds of a secret, in bytes (Standard Webhooks 1.0, "Signature scheme"), and of
// its file.
const (
	minSecret     = 24
	maxSecret     = 64
	maxSecrets    = 4 // more than a change from one to the next needs
	maxSecretFile = 4096
)

// howToMake says how a secret is made.
const howToMake = `echo "whsec_$(openssl rand -base64 32)" makes one`

// secrets are those that a message may be signed with. While one is replaced by
// another there are two.
type secrets [][]byte

// readSecrets reads a file with a secret in each line.
func readSecrets(name string) (secrets, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the secret (secret_file): %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, fmt.Errorf("the secret (secret_file): %w", err)
	}
	if len(text) > maxSecretFile {
		return nil, fmt.Errorf("the secret (secret_file): %s has more than %d bytes", name, maxSecretFile)
	}
	all, err := parseSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("the secret (secret_file): %s: %w", name, err)
	}
	return all, nil
}

func parseSecrets(text string) (all secrets, err error) {
	for i, line := range strings.Fields(text) {
		encoded, ok := strings.CutPrefix(line, secretPrefix)
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(secret) < minSecret || len(secret) > maxSecret {
			return nil, fmt.Errorf("secret %d is not %s and %d to %d bytes in base64: %s", i+1, secretPrefix, minSecret, maxSecret, howToMake)
		}
		all = append(all, secret)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no secret: " + howToMake)
	}
	if len(all) > maxSecrets {
		return nil, fmt.Errorf("there are more than %d secrets", maxSecrets)
	}
	return all, nil
}

// sign returns the headers of a message that is signed with all secrets.
func (s secrets) sign(id string, at time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(s))
	for i, secret := range s {
		signatures[i] = signatureV1 + base64.StdEncoding.EncodeToString(digest(secret, id, timestamp, body))
	}
	h := http.Header{}
	h.Set(headerID, id)
	h.Set(headerTimestamp, timestamp)
	h.Set(headerSignature, strings.Join(signatures, " "))
	return h
}

// maxSignatures is how many signatures of a message are looked at.
const maxSignatures = 2 * maxSecrets

// errUnsigned says that an answer is not from who has the secret, or not to this
// question. An old answer has another id.
var errUnsigned = errors.New("its answer is not signed for this question with the secret of secret_file: look whether both sides have the same, and what stands between them")

// verify checks that a message is signed with one of the secrets, and is the one
// with the id.
func (s secrets) verify(h http.Header, id string, body []byte) error {
	if h.Get(headerID) != id {
		return errUnsigned
	}
	signatures := strings.Fields(h.Get(headerSignature))
	for _, text := range signatures[:min(len(signatures), maxSignatures)] {
		encoded, _ := strings.CutPrefix(text, signatureV1)
		signature, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		for _, secret := range s {
			if hmac.Equal(signature, digest(secret, id, h.Get(headerTimestamp), body)) {
				return nil
			}
		}
	}
	return errUnsigned
}

// digest is what a signature is made of: HMAC-SHA256 of id.timestamp.body.
func digest(secret []byte, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{id, ".", timestamp, "."} {
		_, _ = io.WriteString(mac, part) // never fails
	}
	_, _ = mac.Write(body) // never fails
	return mac.Sum(nil)
}

// newID returns the id of a message.
func newID() string { return "msg_" + rand.Text() }
