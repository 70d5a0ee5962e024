package token

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxFileSize = 1 << 20 // bytes of a file of keys

	// Lines in front of the PEM blocks of a key file.
	warningLine = "This key signs tokens: whoever can read it can make them. Keep it secret."
	createdKey  = "Created: "
	startKey    = "Signs-From: "
)

// ownKey is a key of ours, as it lies in a file.
type ownKey struct {
	Key
	file    string // its name in the directory of keys
	created time.Time
	start   time.Time // it signs from then on
	cert    *x509.Certificate

	plain, chained jose.Signer // without and with the header x5c
}

// encodeFile returns the content of the file of a key.
func encodeFile(private crypto.Signer, cert *x509.Certificate, created, start time.Time) ([]byte, error) {
	key, err := encodeKey(private)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("%s\n%s%s\n%s%s\n", warningLine,
		createdKey, created.UTC().Format(time.RFC3339Nano), startKey, start.UTC().Format(time.RFC3339Nano))
	return bytes.Join([][]byte{[]byte(head), key, encode("CERTIFICATE", cert.Raw)}, nil), nil
}

// readKey reads the file of a key.
func readKey(path string, ca *x509.Certificate) (*ownKey, error) {
	data, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(data, ca)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w; put the right file back, or remove it (tokens that it signed end with it)", path, err)
	}
	key.file = filepath.Base(path)
	return key, nil
}

func parseKey(data []byte, ca *x509.Certificate) (*ownKey, error) {
	k := &ownKey{}
	var err error
	if k.created, err = timeLine(data, createdKey); err != nil {
		return nil, err
	}
	if k.start, err = timeLine(data, startKey); err != nil {
		return nil, err
	}
	private, err := privateKey(data)
	if err != nil {
		return nil, err
	}
	if k.cert, err = firstCertificate(data); err != nil {
		return nil, err
	}
	id, err := thumbprint(private.Public())
	if err != nil {
		return nil, err
	}
	if k.Key, err = newKey(id, "", private.Public()); err != nil {
		return nil, err
	}
	if public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(k.cert.PublicKey) {
		return nil, errors.New("the certificate in it is not that of the key")
	}
	if err := k.cert.CheckSignatureFrom(ca); err != nil {
		return nil, fmt.Errorf("its certificate was not issued by %s: %w", caCertFile, err)
	}
	return k, k.prepare(private)
}

// prepare makes the signers.
func (k *ownKey) prepare(private crypto.Signer) (err error) {
	signing := jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(k.Algorithm),
		Key:       jose.JSONWebKey{Key: private, KeyID: k.ID},
	}
	if k.plain, err = jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT")); err != nil {
		return err
	}
	// RFC 7515, section 4.1.6: standard base64, the certificate of the key first.
	// The authority is not in it: whoever trusts it has it.
	chain := []string{base64.StdEncoding.EncodeToString(k.cert.Raw)}
	k.chained, err = jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5c", chain))
	return err
}

// timeLine returns the time in the line that begins with key, in front of the
// PEM blocks.
func timeLine(data []byte, key string) (time.Time, error) {
	head, _, _ := bytes.Cut(data, []byte("-----BEGIN"))
	for line := range strings.Lines(string(head)) {
		if text, ok := strings.CutPrefix(line, key); ok {
			return time.Parse(time.RFC3339, strings.TrimSpace(text))
		}
	}
	return time.Time{}, fmt.Errorf("it has no line %q", strings.TrimSpace(key)+" TIME")
}

// readSecret is readFile for a file that nobody else may read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so others may have read it: make it private (chmod 600 %s), and if others could reach it, rotate the keys", path, mode, path)
	}
	return readFile(path)
}

// readFile reads a file of bounded size. Its errors name the file.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("this user may not read %s; change its owner or mode: %w", path, fs.ErrPermission)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFileSize)
	}
	return data, nil
}
