package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxFileSize = 1 << 20 // bytes of a certificate or key file

	// soon is how long before the end of a certificate Warning speaks of it.
	soon = 14 * day
)

// Pair is a certificate and its key, read from two files and read again when
// they change. It may be used at once by many.
type Pair struct {
	CertFile, KeyFile string // not to be changed

	reloading sync.Mutex // two reloads must not overtake each other
	current   atomic.Pointer[tls.Certificate]
}

// LoadPair reads a certificate with its chain, and the key, in PEM.
func LoadPair(certFile, keyFile string) (*Pair, error) {
	p := &Pair{CertFile: certFile, KeyFile: keyFile}
	if err := p.Reload(); err != nil {
		return nil, err
	}
	return p, nil
}

// Reload reads the files again. If that fails, or if the key is not that of
// the certificate, as while only one of the files is new, the pair stays as it
// was; the error is one line that names the file.
func (p *Pair) Reload() error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	cert, err := readPair(p.CertFile, p.KeyFile)
	if err != nil {
		return err
	}
	p.current.Store(cert)
	return nil
}

// Leaf returns the certificate as it is now.
func (p *Pair) Leaf() *x509.Certificate { return p.current.Load().Leaf }

// GetCertificate is for tls.Config.
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.current.Load(), nil
}

// Warning says what clients will dislike about the certificate at the time
// now: that it has expired, will soon, or is not valid yet. "" is nothing.
func (p *Pair) Warning(now time.Time) string {
	leaf := p.Leaf()
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate %s expired on %s; clients will refuse it", p.CertFile, leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate %s is not valid before %s; clients will refuse it", p.CertFile, leaf.NotBefore.Format(time.RFC3339))
	case leaf.NotAfter.Sub(now) < soon:
		return fmt.Sprintf("the certificate %s expires on %s; renew it", p.CertFile, leaf.NotAfter.Format(time.DateOnly))
	}
	return ""
}

// ServerConfig returns the configuration of a TLS server with the certificate
// of pair: TLS 1.2 or later, HTTP/2 and HTTP/1.1.
func ServerConfig(pair *Pair) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: pair.GetCertificate,
	}
}

// maxHint bounds the names of authorities that clients are told, in bytes: with more
// than fits into a message nobody could connect.
const maxHint = 16 << 10

// AskClients returns a configuration like c that asks clients for a certificate, and
// tells them whose ones count, as authorities returns them at that moment (RFC 8446,
// section 4.2.4). Which ones do is not decided here: who has none, or a bad one,
// gets an answer that says so, and not the end of the connection.
func AskClients(c *tls.Config, authorities func() []*x509.Certificate) *tls.Config {
	asking := c.Clone()
	asking.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := c.Clone()
		now.ClientAuth = tls.RequestClientCert
		now.ClientCAs = x509.NewCertPool()
		size := 0
		for _, authority := range authorities() {
			size += len(authority.RawSubject)
			now.ClientCAs.AddCert(authority)
		}
		if size > maxHint {
			now.ClientCAs = nil // clients choose without
		}
		return now, nil
	}
	return asking
}

// readPair reads a certificate and the key that belongs to it.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	certPEM, err := readFile("certificate", certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readFile("key", keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

func parsePair(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	if bytes.Contains(keyPEM, []byte("ENCRYPTED")) {
		return nil, errors.New("the key is encrypted; store it without a passphrase (openssl pkey -in OLD -out NEW)")
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	if pair.Leaf == nil { // with GODEBUG=x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair, nil
}

func readFile(what, path string) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s file %s does not exist: %w", what, path, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s file %s may not be read by this user; change its owner or mode: %w", what, path, fs.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("%s file: %w", what, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s file: %w", what, err)
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s file %s is larger than %d MiB", what, path, maxFileSize>>20)
	}
	return data, nil
}
