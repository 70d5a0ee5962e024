package certs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
	"github.com/moorgate/moorgate/internal/filewatch"
)

// loaded is a pair of a.example in a new directory.
func loaded(t *testing.T) (*certs.Pair, certs.Result) {
	t.Helper()
	res := create(t, t.TempDir(), false, "a.example")
	pair, err := certs.LoadPair(res.Cert, res.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair, res
}

func TestLoadPairRefuses(t *testing.T) {
	t.Parallel()
	other := create(t, t.TempDir(), false, "b.example")
	tests := map[string]struct {
		damage func(t *testing.T, f certs.Files)
		want   string
	}{
		"no certificate":     {func(t *testing.T, f certs.Files) { move(t, f.Cert, f.Cert+".x") }, "domain.crt does not exist"},
		"no key":             {func(t *testing.T, f certs.Files) { move(t, f.Key, f.Key+".x") }, "key file"},
		"the key of another": {func(t *testing.T, f certs.Files) { put(t, f.Key, read(t, other.Key)) }, "private key does not match public key"},
		"files mixed up":     {func(t *testing.T, f certs.Files) { swap(t, f.Cert, f.Key) }, "switched"},
		"an empty file":      {func(t *testing.T, f certs.Files) { put(t, f.Cert, nil) }, "failed to find any PEM data in certificate"},
		"half a certificate": {func(t *testing.T, f certs.Files) { put(t, f.Cert, read(t, f.Cert)[:200]) }, "certificate"},
		"an encrypted key":   {func(t *testing.T, f certs.Files) { put(t, f.Key, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")) }, "the key is encrypted"},
		"not a certificate": {func(t *testing.T, f certs.Files) {
			put(t, f.Cert, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		}, "certificate"},
		"a huge file":         {func(t *testing.T, f certs.Files) { put(t, f.Cert, make([]byte, 2<<20)) }, "larger than 1 MiB"},
		"a directory":         {func(t *testing.T, f certs.Files) { move(t, f.Cert, f.Cert+".x"); mkdir(t, f.Cert) }, "is a directory"},
		"not PEM":             {func(t *testing.T, f certs.Files) { move(t, f.Cert, f.Cert+".x"); put(t, f.Cert, []byte("x")) }, "certificate"},
		"certificate in both": {func(t *testing.T, f certs.Files) { put(t, f.Key, read(t, f.Cert)) }, "failed to find PEM block with type ending in \"PRIVATE KEY\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair, res := loaded(t)
			before := pair.Leaf()
			tt.damage(t, res.Files)
			_, err := certs.LoadPair(res.Cert, res.Key)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("load: error %v; want one line with %q", err, tt.want)
			}
			if err := pair.Reload(); err == nil {
				t.Error("reload: no error")
			}
			if pair.Leaf() != before {
				t.Error("reload: the last good certificate is gone")
			}
		})
	}
	if _, err := certs.LoadPair("/nowhere", "/nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func put(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, a, b string) {
	t.Helper()
	move(t, a, a+".swap")
	move(t, b, a)
	move(t, a+".swap", b)
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestWarning(t *testing.T) {
	t.Parallel()
	pair, _ := loaded(t)
	now := time.Now()
	for after, want := range map[time.Duration]string{
		0:         "",
		380 * day: "",
		390 * day: "renew it",
		398 * day: "expired on",
		-2 * day:  "is not valid before",
	} {
		got := pair.Warning(now.Add(after))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("after %v: %q; want %q", after, got, want)
		}
	}
}

// An expired certificate is the operator's to renew, and no reason not to run.
func TestExpiredCertificateLoads(t *testing.T) {
	t.Parallel()
	now := time.Now()
	res, err := certs.Create(t.TempDir(), certs.Request{Hosts: hosts(t, "a.example"), Days: 1, Now: now.Add(-10 * day)}, false)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := certs.LoadPair(res.Cert, res.Key)
	if err != nil {
		t.Fatal(err)
	}
	if pair.Warning(now) == "" {
		t.Error("no warning")
	}
}

func TestServerConfig(t *testing.T) {
	t.Parallel()
	pair, res := loaded(t)
	tests := map[string]struct {
		client *tls.Config
		ok     bool
	}{
		"TLS 1.3": {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"TLS 1.2": {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"TLS 1.1": {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"HTTP/2":  {&tls.Config{NextProtos: []string{"h2"}}, true},
		"HTTP/1":  {&tls.Config{NextProtos: []string{"http/1.1"}}, true},
		"gopher":  {&tls.Config{NextProtos: []string{"gopher"}}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.client.RootCAs, tt.client.ServerName = pool(t, res.CACert), "a.example"
			if err := handshake(t, pair, tt.client); (err == nil) != tt.ok {
				t.Errorf("error %v; want ok: %v", err, tt.ok)
			}
		})
	}
}

// served is an HTTPS server whose certificate is watched.
func served(t *testing.T, pair *certs.Pair, handler http.Handler) (url string, reloads <-chan error) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = certs.ServerConfig(pair)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	w := filewatch.New(slog.New(slog.DiscardHandler), pair.CertFile, pair.KeyFile)
	w.Settle = 20 * time.Millisecond
	errs := make(chan error, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, func() { errs <- pair.Reload() })
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return server.URL, errs
}

// awaitReload waits until a reload succeeds.
func awaitReload(t *testing.T, reloads <-chan error) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case err := <-reloads:
			if err == nil {
				return
			}
			t.Logf("reload: %v", err) // one of the two files was new
		case <-timeout:
			t.Fatal("the new certificate was not loaded")
		}
	}
}

// A change of the certificate reaches new connections; a response that is on
// its way over an old one goes on.
func TestChangeOfTheCertificateDropsNoConnection(t *testing.T) {
	t.Parallel()
	for name, protocols := range map[string]string{"HTTP/1.1": "http/1.1", "HTTP/2": "h2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair, res := loaded(t)
			more := make(chan struct{})
			url, reloads := served(t, pair, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "first ")
				_ = http.NewResponseController(w).Flush()
				<-more
				_, _ = io.WriteString(w, "second")
			}))
			client := newClient(t, res.CACert, "a.example", protocols)
			response := get(t, client, url) //nolint:bodyclose // get does, at the end of the test
			if got := response.Proto; !strings.HasPrefix(got, name[:6]) {
				t.Errorf("protocol %s", got)
			}
			old := response.TLS.PeerCertificates[0].SerialNumber

			create(t, filepath.Dir(res.Cert), true, "a.example", "b.example")
			awaitReload(t, reloads)

			// A new connection, to the new name.
			again := get(t, newClient(t, res.CACert, "b.example", protocols), url) //nolint:bodyclose // get does, at the end of the test
			if again.TLS.PeerCertificates[0].SerialNumber.Cmp(old) == 0 {
				t.Error("a new connection got the old certificate")
			}
			close(more)
			for _, r := range []*http.Response{response, again} {
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != "first second" {
					t.Errorf("body %q, %v", body, err)
				}
			}
		})
	}
}

// newClient trusts the authority in caFile and calls every server name.
func newClient(t *testing.T, caFile, name, protocol string) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool(t, caFile), ServerName: name, NextProtos: []string{protocol}},
		ForceAttemptHTTP2: protocol == "h2",
		DialContext:       (&net.Dialer{}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() }) // it was only read
	return response
}
