package webhook

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/programtest"
	"github.com/moorgate/moorgate/internal/certs"
)

// patient is a configuration with much time: a busy machine is no fault.
func patient(url, ca, secretFile string) Config {
	c := Default()
	c.URL, c.CA, c.SecretFile, c.Timeout = url, ca, secretFile, time.Minute
	return c
}

func open(t *testing.T, c Config) *Source {
	t.Helper()
	c.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	s, err := Open("webhook", c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fake is a service that does what a test says.
type fake struct {
	*httptest.Server
	ca, secretFile string
	secrets        secrets
	requests       atomic.Int64
}

// startFake runs a service over TLS. handle gets the body of each request.
func startFake(t *testing.T, handle func(f *fake, w http.ResponseWriter, r *http.Request, body []byte)) *fake {
	t.Helper()
	return startFakeTLS(t, &tls.Config{}, handle)
}

// startFakeTLS is startFake with a certificate of the test, or with wishes.
func startFakeTLS(t *testing.T, config *tls.Config, handle func(f *fake, w http.ResponseWriter, r *http.Request, body []byte)) *fake {
	t.Helper()
	dir := t.TempDir()
	f := &fake{ca: filepath.Join(dir, "ca.crt"), secretFile: filepath.Join(dir, "secret")}
	text := programtest.NewSecret()
	var err error
	if f.secrets, err = parseSecrets(text); err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // whoever has asked is gone
		}
		handle(f, w, r, body)
	}))
	f.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	f.TLS = config
	f.StartTLS()
	t.Cleanup(f.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	if err := errors.Join(os.WriteFile(f.ca, cert, 0o600), os.WriteFile(f.secretFile, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fake) config() Config { return patient(f.URL, f.ca, f.secretFile) }

// say sends a signed answer to a request.
func (f *fake) say(w http.ResponseWriter, r *http.Request, body string) {
	for name, values := range f.secrets.sign(r.Header.Get(headerID), time.Now(), []byte(body)) {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, body) // whoever has asked may be gone
}

// pair makes a certificate for 127.0.0.1 that began at a time.
func pair(t *testing.T, began time.Time) certs.Result {
	t.Helper()
	hosts, err := certs.ParseHosts([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := certs.SelfSigned(t.TempDir(), hosts, began)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

const (
	letIn  = `{"result":"ok","user":"alice"}`
	keepOn = `{"result":"wrong"}`
)

// verify asks about alice.
func verify(t *testing.T, s *Source) error {
	t.Helper()
	who, err := s.VerifyPassword(t.Context(), "alice", "open sesame")
	if (err == nil) != (who.User == "alice") {
		t.Errorf("%+v, %v", who, err)
	}
	return err
}

func isAnswer(err error) bool {
	return errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrWrongPassword)
}
