package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
)

// certificate is that of all servers that speak TLS.
func (b *bench) certificate() certs.Files { return certs.FilesIn(filepath.Join(b.dir, "certificate")) }

func (b *bench) writeCertificate() error {
	hosts, err := certs.ParseHosts([]string{"127.0.0.1"})
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "certificate")
	_, err = certs.Create(dir, certs.Request{Hosts: hosts, Now: time.Now()}, false)
	return errors.Join(err, os.Chmod(dir, 0o755)) //nolint:gosec // a key of nothing else
}

// trust is what clients use that trust the certificate. Our own authority is the
// only one they know; a file that cannot be read trusts nobody.
func (b *bench) trust() *tls.Config {
	pool := x509.NewCertPool()
	text, _ := os.ReadFile(b.certificate().CACert) // without it nothing can be reached, which is said then
	pool.AppendCertsFromPEM(text)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, ServerName: "127.0.0.1"}
}
