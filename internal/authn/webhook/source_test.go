package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/authn/certtest"
	"github.com/moorgate/moorgate/internal/authn/programtest"
)

// openService opens a real service with users.
func openService(t *testing.T, passwords map[string]string) (*Source, *programtest.Service, *programtest.Users) {
	t.Helper()
	users := programtest.NewUsers(t, passwords)
	service := programtest.Start(t, users)
	return open(t, patient(service.URL, service.CA, service.SecretFile)), service, users
}

func TestContract(t *testing.T) {
	t.Parallel()
	authntest.Run(t, authntest.Config{Source: "webhook", New: func(t *testing.T, users map[string]string) authn.Password {
		s, _, _ := openService(t, users)
		return s
	}})
	authntest.Run(t, authntest.Config{Source: "webhook", New: func(t *testing.T, users map[string]string) authn.Password {
		s, _, _ := openService(t, users)
		return authn.Cached("webhook", s, authn.NewCache(time.Minute, 0))
	}})
	authntest.RunDirectory(t, authntest.DirectoryConfig{Source: "webhook", New: func(t *testing.T, users map[string]string) (authn.Directory, func(map[string]string)) {
		s, _, file := openService(t, users)
		return s, func(users map[string]string) { file.Set(t, users) }
	}})
}

func TestGroupsClaimsAndProbe(t *testing.T) {
	t.Parallel()
	s, service, users := openService(t, map[string]string{"alice": "secret"})
	who, err := s.VerifyPassword(t.Context(), "alice", "secret")
	want := access.Identity{User: "alice", Source: "webhook", Groups: []string{"developers", "of-alice"}, Claims: map[string]any{"team": "core"}}
	if diff := cmp.Diff(want, who); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if found, err := s.Probe(t.Context()); err != nil || found != service.URL+": 1 users" {
		t.Errorf("%q, %v", found, err)
	}
	if err := os.Remove(users.File); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), service.URL+": program webhook: it answers 503 Service Unavailable") {
		t.Errorf("without its users: %q, %v", found, err)
	}
}

// A service that is gone is a fault, never an answer about a user; one that comes
// back is asked again.
func TestServiceGoesAndComes(t *testing.T) {
	t.Parallel()
	s, service, _ := openService(t, map[string]string{"alice": "open sesame"})
	if err := verify(t, s); err != nil {
		t.Fatal(err)
	}
	service.Stop()
	for range 3 { // the second time nobody tries to connect
		if err := verify(t, s); err == nil || isAnswer(err) || !strings.Contains(err.Error(), "it cannot be reached") {
			t.Errorf("without a service: %v", err)
		}
	}
	service.Restart(t)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := verify(t, s)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the service is back and not asked: %v", err)
		}
	}
}

// A new secret is put beside the old one, then the service is told, then the old one
// goes: nobody is kept out meanwhile.
func TestSecretsChange(t *testing.T) {
	t.Parallel()
	s, service, _ := openService(t, map[string]string{"alice": "open sesame"})
	old, err := os.ReadFile(service.SecretFile)
	if err != nil {
		t.Fatal(err)
	}
	next := programtest.NewSecret()
	set := func(text string) error {
		if err := os.WriteFile(service.SecretFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return s.Reload()
	}
	if err := errors.Join(set(next+"\n"+string(old)), verify(t, s)); err != nil {
		t.Errorf("with both: %v", err)
	}
	if err := set(next); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, s); err == nil || isAnswer(err) || !strings.Contains(err.Error(), "it answers 401 Unauthorized: look whether it has the secret of secret_file") {
		t.Errorf("the service has another secret: %v", err)
	}
	if err := set("whsec_short"); err == nil || !strings.Contains(err.Error(), howToMake) || strings.Contains(err.Error(), "whsec_short") {
		t.Errorf("a bad secret: %v", err)
	}
	service.Stop()
	if err := set(next); err != nil {
		t.Fatal(err)
	}
	service.Restart(t)
	for deadline := time.Now().Add(time.Minute); verify(t, s) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("with the new one alone: %v", verify(t, s))
		}
	}
}

// The authority and our certificate are replaced while people sign in: the service has
// new ones too, of which none of the old ones knows. What cannot be used changes
// nothing.
func TestTLSFilesChange(t *testing.T) {
	t.Parallel()
	var shown atomic.Value // the certificate of the last question
	f := startFakeTLS(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, func(f *fake, w http.ResponseWriter, r *http.Request, _ []byte) {
		shown.Store(r.TLS.PeerCertificates[0].SerialNumber.String())
		f.say(w, r, letIn)
	})
	own := func(serial int64) (cert, key string) {
		made := certtest.NewAuthority(t, "Ours").Client(t, "moorgate", func(c *x509.Certificate) { c.SerialNumber = big.NewInt(serial) })
		dir := t.TempDir()
		cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
		certtest.WritePair(t, made, cert, key)
		return cert, key
	}
	c := f.config()
	c.Cert, c.Key = own(1001)
	s := open(t, c)
	ask := func(what, serial string) {
		t.Helper()
		if err := verify(t, s); err != nil || shown.Load() != serial {
			t.Errorf("%s: %v, with certificate %s, want %s", what, err, shown.Load(), serial)
		}
	}
	ask("at first", "1001")

	cert, key := own(1002)
	replace(t, cert, c.Cert)
	if err := s.ReloadTLS(); err == nil || !strings.Contains(err.Error(), "(cert, key)") {
		t.Errorf("a certificate without its key: %v", err)
	}
	ask("a certificate without its key", "1001")
	replace(t, key, c.Key)
	if err := s.ReloadTLS(); err != nil {
		t.Fatal(err)
	}
	ask("another certificate", "1002")

	replace(t, pair(t, time.Now()).CACert, c.CA)
	if err := s.ReloadTLS(); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, s); err == nil || isAnswer(err) || !strings.Contains(err.Error(), "name its authority in ca") {
		t.Errorf("an authority of others: %v", err)
	}
	certtest.Write(t, c.CA, "none")
	if err := s.ReloadTLS(); err == nil || !strings.Contains(err.Error(), "there is no certificate in") {
		t.Errorf("a file without an authority: %v", err)
	}
	certtest.Write(t, c.CA, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})))
	if err := s.ReloadTLS(); err != nil {
		t.Fatal(err)
	}
	ask("the right authority, at once", "1002")
}

// replace gives a file the content of another.
func replace(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	certtest.Write(t, to, string(text))
}

func TestCheckFindsAllMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"none":              {func(*Config) {}, nil},
		"loopback":          {func(c *Config) { c.URL = "http://[::1]:8080/x?y=z" }, nil},
		"localhost":         {func(c *Config) { c.URL = "http://localhost" }, nil},
		"nothing":           {func(c *Config) { *c = Default() }, []string{"url", "secret_file"}},
		"plain":             {func(c *Config) { c.URL = "http://login.example.com" }, []string{"url"}},
		"plain, to a range": {func(c *Config) { c.URL = "http://127.0.0.1.example.com" }, []string{"url"}},
		"no host":           {func(c *Config) { c.URL = "https:///x" }, []string{"url"}},
		"another scheme":    {func(c *Config) { c.URL = "file:///etc/passwd" }, []string{"url"}},
		"a password":        {func(c *Config) { c.URL = "https://a:b@login.example.com" }, []string{"url"}},
		"a fragment":        {func(c *Config) { c.URL = "https://login.example.com/#x" }, []string{"url"}},
		"no URL":            {func(c *Config) { c.URL = "https://a:b%@c" }, []string{"url"}},
		"ca for nothing":    {func(c *Config) { c.URL, c.CA = "http://localhost", "ca.crt" }, []string{"url"}},
		"half a pair":       {func(c *Config) { c.Cert = "a.crt" }, []string{"cert"}},
		"numbers": {func(c *Config) { c.Timeout, c.Retries, c.MaxConnections, c.Cache = 0, -1, 0, -1 }, []string{
			"timeout", "retries", "max_connections", "cache",
		}},
		"large numbers": {func(c *Config) { c.Timeout, c.Retries, c.MaxConnections = time.Hour, 11, 1001 }, []string{
			"timeout", "retries", "max_connections",
		}},
	} {
		c := Default()
		c.URL, c.SecretFile = "https://login.example.com/moorgate", "secret"
		tt.change(&c)
		var keys []string
		c.Check(func(key, problem string) {
			keys = append(keys, key)
			if strings.Contains(problem, "a:b") {
				t.Errorf("%s: a password is told: %s", name, problem)
			}
		})
		if diff := cmp.Diff(tt.want, keys); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestOpenReadsItsFiles(t *testing.T) {
	t.Parallel()
	for key, change := range map[string]func(*Config){
		"ca":          func(c *Config) { c.CA = os.DevNull },
		"(ca)":        func(c *Config) { c.CA = "/no/such/file" },
		"cert":        func(c *Config) { c.Cert, c.Key = os.DevNull, os.DevNull },
		"secret_file": func(c *Config) { c.SecretFile = os.DevNull },
		"bytes":       func(c *Config) { c.SecretFile = "/dev/zero" },
		"no such":     func(c *Config) { c.SecretFile = "/no/such/file" },
	} {
		c := Default()
		c.URL = "https://login.example.com"
		change(&c)
		if c.SecretFile == "" {
			c.SecretFile = os.DevNull
		}
		if s, err := Open("webhook", c, nil); err == nil || s != nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: error %v", key, err)
		}
	}
}
