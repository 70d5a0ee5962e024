package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/moorgate/moorgate/internal/testserver"
)

// awayIP is an address that no machine has (RFC 5737). The Docker engine does
// not verify the certificates of registries on 127.0.0.0/8, so its test
// reaches the registry under this one.
const awayIP = "192.0.2.10"

// wrongPassword is nobody's.
const wrongPassword = "not-the-password"

// registry is a private registry: moorgate over TLS, for alice and admin.
type registry struct {
	*testserver.Server
	ca       string // file of the certificate authority
	password string // of alice
}

// startRegistry runs a registry for one test. Its log is printed when the test
// fails.
func startRegistry(t *testing.T) *registry {
	t.Helper()
	dir := t.TempDir()
	reg := &registry{ca: filepath.Join(dir, "ca.crt"), password: rand.Text()}
	cert, key := writeCertificates(t, dir)
	users := filepath.Join(dir, "registry.password")
	writeFile(t, users, hashLine(t, "alice", reg.password)+hashLine(t, "admin", rand.Text()))
	config := filepath.Join(dir, "moorgate.yaml")
	writeFile(t, config, audited)
	reg.Server = testserver.Start(t, "--config", config, "--tls-cert", cert, "--tls-key", key, "--htpasswd", users)
	printLogAtFailure(t, reg.Server)
	return reg
}

// startOwnRegistry is startRegistry with the certificate and the password file
// that moorgate makes for its users.
func startOwnRegistry(t *testing.T) *registry {
	t.Helper()
	testserver.Binary(t) // builds the moorgate that m runs
	m := newMachine(t)
	m.vars["HOSTS"] = "localhost,127.0.0.1," + awayIP
	m.run(t, "moorgate cert create --host $HOSTS --out certs")
	reg := &registry{ca: filepath.Join(m.home, "certs", "ca.crt"), password: rand.Text()}
	m.runWith(t, reg.password, "moorgate passwd add registry.password alice")
	reg.Server = testserver.Start(t, "--config", m.write(t, "moorgate.yaml", audited),
		"--tls-cert", filepath.Join(m.home, "certs", "domain.crt"),
		"--tls-key", filepath.Join(m.home, "certs", "domain.key"),
		"--htpasswd", filepath.Join(m.home, "registry.password"))
	printLogAtFailure(t, reg.Server)
	return reg
}

func printLogAtFailure(t *testing.T, s *testserver.Server) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the registry:\n%s", s.Log())
		}
	})
}

// sawRequest fails the test if the log of the registry has no line with all
// of words: proof that the client asked as it should.
func (r *registry) sawRequest(t *testing.T, words ...string) {
	t.Helper()
	if !awaitLine(r.Log, words...) {
		t.Errorf("no request with %q in the log of the registry", words)
	}
}

// logTimeout bounds the wait for a line of a log: it may come after the answer.
const logTimeout = 5 * time.Second

// awaitLine waits until the log has a line with all of words, and reports
// whether it has.
func awaitLine(log func() string, words ...string) bool {
	timeout := time.NewTimer(logTimeout)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !hasLine(log(), words...) {
		select {
		case <-timeout.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

func hasLine(log string, words ...string) bool {
lines:
	for line := range strings.Lines(log) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return true
	}
	return false
}

// hashLine is one line of an htpasswd file. The cost is the one of "htpasswd
// -B".
func hashLine(t *testing.T, user, password string) string {
	t.Helper()
	testserver.Secret(password)
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 5)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:%s\n", user, hash)
}

// writeCertificates makes a certificate authority, whose certificate becomes
// dir/ca.crt, and a server's certificate and key, and returns their paths.
func writeCertificates(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	caKey, serverKey := newKey(t), newKey(t)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Moorgate test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registry"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(awayIP)},
	}
	writePEM(t, filepath.Join(dir, "ca.crt"), "CERTIFICATE", sign(t, ca, ca, caKey, caKey))
	cert, key = filepath.Join(dir, "domain.crt"), filepath.Join(dir, "domain.key")
	writePEM(t, cert, "CERTIFICATE", sign(t, server, ca, serverKey, caKey))
	der, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, key, "PRIVATE KEY", der)
	return cert, key
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, cert, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	writeFile(t, path, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
