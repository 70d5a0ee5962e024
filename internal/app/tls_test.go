package app_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// trust returns the configuration of a client that trusts the authority in a
// file, and nobody else.
func trust(t *testing.T, caFile string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", caFile)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// serial returns the serial number of the certificate that a new connection
// gets.
func serial(t *testing.T, s *testserver.Server, config *tls.Config) string {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the handshake was all
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestCertificateChangesUnderARunningDownload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := pair(t, dir)
	s := start(t, "open: true\n", "--tls-cert", before.Cert, "--tls-key", before.Key)
	trusted := trust(t, before.CACert)
	c := newClient(t, s, trusted)
	content := randomBytes(32 << 20) // more than what is between the two ends
	c.push(t, "app", content)

	r, err := c.request(t.Context(), http.MethodGet, "/v2/app/blobs/"+digestOf(content), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("the download runs over %s, want HTTP/2", resp.Proto)
	}
	first := make([]byte, 1<<20)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}

	after := pair(t, dir)
	if before.Leaf.SerialNumber.Cmp(after.Leaf.SerialNumber) == 0 {
		t.Fatal("the new certificate is the old one")
	}
	want := after.Leaf.SerialNumber.String()
	eventually(t, "new connections to get the new certificate", func() bool { return serial(t, s, trusted) == want })

	rest, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("the download did not survive the change: %v", err)
	}
	if !bytes.Equal(append(first, rest...), content) {
		t.Error("the download brought other bytes")
	}
}

func TestBrokenCertificateKeepsTheLastGoodOne(t *testing.T) {
	t.Parallel()
	made := pair(t, t.TempDir())
	s := start(t, "open: true\n", "--tls-cert", made.Cert, "--tls-key", made.Key)
	trusted := trust(t, made.CACert)
	before := serial(t, s, trusted)
	write(t, made.Cert, "not a certificate\n")
	logged(t, s, "level=ERROR", "cannot reload certificate: the last good one stays in force", made.Cert)
	if serial(t, s, trusted) != before {
		t.Error("the certificate has changed")
	}
}

func TestProtocolsOfTLS(t *testing.T) {
	t.Parallel()
	made := pair(t, t.TempDir())
	s := start(t, "open: true\n", "--tls-cert", made.Cert, "--tls-key", made.Key)
	for name, test := range map[string]struct {
		version uint16
		works   bool
	}{
		"1.0": {tls.VersionTLS10, false},
		"1.1": {tls.VersionTLS11, false},
		"1.2": {tls.VersionTLS12, true},
		"1.3": {tls.VersionTLS13, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := trust(t, made.CACert)
			config.MinVersion, config.MaxVersion, config.NextProtos = test.version, test.version, []string{"h2", "http/1.1"}
			conn, err := tls.Dial("tcp", s.Addr, config)
			if (err == nil) != test.works {
				t.Fatalf("handshake: %v, want success %v", err, test.works)
			}
			if err == nil {
				defer conn.Close() //nolint:errcheck // the handshake was all
				if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
					t.Errorf("protocol %q, want h2", got)
				}
			}
		})
	}
}

func TestPlainRequestToTLSIsAnswered(t *testing.T) {
	t.Parallel()
	made := pair(t, t.TempDir())
	s := start(t, "open: true\n", "--tls-cert", made.Cert, "--tls-key", made.Key)
	c := newClient(t, s, nil)
	c.url = "http://" + s.Addr
	c.want(t, http.StatusBadRequest, http.MethodGet, "/v2/", nil)
}

func TestSelfSignedCertificateStays(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	var serials []string
	for range 2 {
		s := start(t, "", "--data", data, "--tls-self-signed")
		trusted := trust(t, filepath.Join(data, "tls", "ca.crt"))
		if got := newClient(t, s, trusted).status(t); got != http.StatusUnauthorized {
			t.Errorf("status %d, want 401", got)
		}
		serials = append(serials, serial(t, s, trusted))
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if serials[0] != serials[1] {
		t.Error("the second start made another certificate")
	}
}
