package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CertificateDirs returns the directories in which docker, podman and skopeo look for
// the certificates of a registry, as HOST:PORT/ca.crt. config is the directory of the
// user's configuration, such as ~/.config, and home that of the user.
func CertificateDirs(home, config string) []string {
	return []string{
		"/etc/docker/certs.d", "/etc/containers/certs.d",
		filepath.Join(home, ".docker", "certs.d"), filepath.Join(config, "docker", "certs.d"), filepath.Join(config, "containers", "certs.d"),
	}
}

// Trust is whom to trust, and what to show them.
type Trust struct {
	TLS *tls.Config

	// Unread are files that this user may not read, and errors about TLS name: those of
	// the docker engine, which is root, are often none of ours.
	Unread []string
}

// NewTrust returns whom to trust when speaking to hosts: the authorities of the
// system, those in the directories dirs for these hosts, and those in the PEM file
// ca if it is not "". Client certificates in the directories are shown.
func NewTrust(dirs []string, ca string, hosts ...Host) (Trust, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	trust := Trust{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	if ca != "" {
		if err := addFile(roots, ca); err != nil {
			return Trust{}, err
		}
	}
	for _, dir := range dirs {
		for _, host := range hosts {
			if err := trust.addDir(filepath.Join(dir, string(host))); err != nil {
				return Trust{}, err
			}
		}
	}
	return trust, nil
}

// addDir adds a directory of docker's kind: *.crt are authorities, *.cert with *.key
// are client certificates. One that is not there, or not for us, has nothing.
func (t *Trust) addDir(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil
	case err != nil:
		return err
	}
	for _, e := range entries {
		err := t.add(filepath.Join(dir, e.Name()))
		var path *fs.PathError
		switch {
		case errors.Is(err, fs.ErrPermission) && errors.As(err, &path):
			t.Unread = append(t.Unread, path.Path)
		case err != nil:
			return fmt.Errorf("certificates in %s: %w", dir, err)
		}
	}
	return nil
}

// add adds a file of such a directory.
func (t *Trust) add(path string) error {
	switch filepath.Ext(path) {
	case ".crt":
		return addFile(t.TLS.RootCAs, path)
	case ".cert":
		pair, err := tls.LoadX509KeyPair(path, strings.TrimSuffix(path, ".cert")+".key")
		if err != nil {
			return err
		}
		t.TLS.Certificates = append(t.TLS.Certificates, pair)
	}
	return nil
}

func addFile(pool *x509.CertPool, path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate in PEM form", path)
	}
	return nil
}
