package client_test

import (
	"crypto/tls"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
	"github.com/moorgate/moorgate/internal/client"
)

// nobody is a user with no rights of its own.
const nobody = 65534

// trustOfNobody is client.NewTrust as somebody who is not root.
func trustOfNobody(t *testing.T, dir string, host client.Host) client.Trust {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }() // who made the files
	}
	trust, err := client.NewTrust([]string{dir}, "", host)
	if err != nil {
		t.Fatalf("files of others stop all: %v", err)
	}
	return trust
}

// openDirs lets everybody into a directory of the test.
func openDirs(t *testing.T, dir string) {
	t.Helper()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// The docker engine is root, and so is the key that it shows: a user on the same machine
// goes without it, and hears about it only where that may be what is wrong.
func TestFilesInCertsDThatOnlyRootCanRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		asks   tls.ClientAuthType
		closed string // the file that is not for us
		named  bool
	}{
		"a key that no server asks for":   {tls.NoClientCert, "client.key", false},
		"a key that the server wants":     {tls.RequireAnyClientCert, "client.key", true},
		"a certificate that it wants":     {tls.RequireAnyClientCert, "client.cert", true},
		"the authority of the server":     {tls.NoClientCert, "ca.crt", true},
		"an authority of another purpose": {tls.NoClientCert, "old.crt", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(say(about))
			server.TLS = &tls.Config{ClientAuth: tt.asks, MinVersion: tls.VersionTLS12}
			server.StartTLS()
			t.Cleanup(server.Close)
			host := client.Host(strings.TrimPrefix(server.URL, "https://"))
			root := t.TempDir()
			dir := filepath.Join(root, string(host))
			closed := filepath.Join(dir, tt.closed)
			fillCertsD(t, dir, server)
			if err := os.Chmod(closed, 0o000); err != nil {
				t.Fatal(err)
			}
			_, err := (&client.Client{HTTP: client.NewHTTP(trustOfNobody(t, root, host))}).Find(t.Context(), host)
			if tt.named != (err != nil) {
				t.Fatalf("it says %v", err)
			}
			if tt.named && (!errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "may not read "+closed)) {
				t.Errorf("it says %v; want it to name %s", err, closed)
			}
			if _, err := (&client.Client{HTTP: client.NewHTTP(trustOfNobody(t, root, host))}).Find(t.Context(), "127.0.0.1:1"); err == nil || strings.Contains(err.Error(), "may not read") {
				t.Errorf("where nobody listens it says %v", err)
			}
		})
	}
}

// fillCertsD writes what the docker engine has for a server, for everybody to read.
func fillCertsD(t *testing.T, dir string, server *httptest.Server) {
	t.Helper()
	writePEM(t, filepath.Join(dir, "ca.crt"), server)
	hosts, err := certs.ParseHosts([]string{"alice.example"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := certs.SelfSigned(filepath.Join(t.TempDir(), "alice"), hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, made.Cert, filepath.Join(dir, "client.cert"))
	copyFile(t, made.Key, filepath.Join(dir, "client.key"))
	copyFile(t, made.Cert, filepath.Join(dir, "old.crt"))
	openDirs(t, dir)
	for _, name := range []string{"ca.crt", "client.cert", "client.key", "old.crt"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
