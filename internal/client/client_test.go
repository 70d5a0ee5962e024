package client_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/session"
)

func TestSessionsAreAskedForByTheirName(t *testing.T) {
	t.Parallel()
	if client.Service != session.Audience {
		t.Errorf("%q is not what servers call it, %q", client.Service, session.Audience)
	}
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]client.Host{
		"registry.example.com":                    "registry.example.com",
		"registry.example.com:5043":               "registry.example.com:5043",
		" Registry.Example.com:5043\n":            "registry.example.com:5043",
		"https://registry.example.com:5043":       "registry.example.com:5043",
		"https://registry.example.com:5043/v2/":   "registry.example.com:5043",
		"http://127.0.0.1:5000/v2":                "127.0.0.1:5000",
		"registry.example.com:5043/v2/":           "registry.example.com:5043",
		"registry.example.com:5043/team/app":      "registry.example.com:5043",
		"https://index.docker.io/v1/":             "index.docker.io",
		"localhost:5000":                          "localhost:5000",
		"[::1]:5000":                              "[::1]:5000",
		"https://[::1]:5000/v2/":                  "[::1]:5000",
		"":                                        "",
		"/":                                       "",
		"..":                                      "",
		"../../etc/passwd":                        "",
		"registry.example.com@mallory.example":    "",
		"https://alice:secret@registry.example":   "",
		"ftp://registry.example":                  "",
		"registry.example:port":                   "",
		"registry example":                        "",
		"https://":                                "",
		"registry.example\nmallory.example":       "",
		"registry.example\x00":                    "",
		"https://registry.example\\@mallory/":     "",
		"registry.example#mallory":                "",
		"*":                                       "",
		"-rf":                                     "",
		strings.Repeat("x", 300):                  "",
		"https://a/" + strings.Repeat("x", 4<<10): "",
	} {
		got, err := client.ParseHost(address)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.60q is %q, %v; want %q", address, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}

// about is what a Moorgate says about itself.
const about = `{"token_path":"/token","revoke_path":"/token/revoke","session_service":"urn:moorgate:session","session_seconds":3600}`

// fake is a server that answers as a test says, and notes what it was sent.
type fake struct {
	*httptest.Server
	host client.Host

	mu   sync.Mutex
	seen []string // method, path and form of each request
}

// serve answers by path.
func serve(t *testing.T, answers map[string]http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		f.mu.Lock()
		f.seen = append(f.seen, r.Method+" "+r.URL.Path+" "+r.PostForm.Encode())
		f.mu.Unlock()
		if answer := answers[r.URL.Path]; answer != nil {
			answer(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(f.Close)
	f.host = client.Host(strings.TrimPrefix(f.URL, "http://"))
	return f
}

// asked returns what the server was sent.
func (f *fake) asked() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.seen, "\n")
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

func challenge(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", text)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func newClient(t *testing.T) *client.Client {
	t.Helper()
	return &client.Client{HTTP: client.NewHTTP(client.Trust{})}
}

func TestFind(t *testing.T) {
	t.Parallel()
	gate := serve(t, map[string]http.HandlerFunc{"/.well-known/moorgate.json": say(about)})
	server := client.Server{Token: gate.URL + "/token", Revoke: gate.URL + "/token/revoke"}
	realm := func(format string) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{"/v2/": challenge(fmt.Sprintf(format, gate.URL))}
	}
	for name, tt := range map[string]struct {
		answers map[string]http.HandlerFunc
		want    client.Server
		err     error
	}{
		"a registry of others that trusts a token server": {realm(`Bearer realm="%s/token",service="r"`), server, nil},
		"in another order":            {realm(`Bearer service="r", realm="%s/token"`), server, nil},
		"with a Basic challenge":      {realm(`Basic realm="%s/token"`), client.Server{}, client.ErrNotMoorgate},
		"that names no realm":         {realm(`Bearer xrealm="%s/token"`), client.Server{}, client.ErrNotMoorgate},
		"that anybody may read":       {map[string]http.HandlerFunc{"/v2/": say("{}")}, client.Server{}, client.ErrNotMoorgate},
		"that is not there":           {nil, client.Server{}, client.ErrNotMoorgate},
		"with passwords in the clear": {map[string]http.HandlerFunc{"/v2/": challenge(`Bearer realm="http://auth.example.com/token"`)}, client.Server{}, client.ErrNotMoorgate},
		"with a password in its realm": {
			map[string]http.HandlerFunc{"/v2/": challenge(`Bearer realm="https://a:b@127.0.0.1/token"`)}, client.Server{}, client.ErrNotMoorgate,
		},
		"a Moorgate without sessions": {
			map[string]http.HandlerFunc{"/.well-known/moorgate.json": say(strings.Replace(about, "3600", "0", 1))}, client.Server{}, client.ErrNoSessions,
		},
		"a page for everything": {
			map[string]http.HandlerFunc{"/.well-known/moorgate.json": say("<html>"), "/v2/": say("<html>")}, client.Server{}, client.ErrNotMoorgate,
		},
		"one that points elsewhere": {
			map[string]http.HandlerFunc{"/.well-known/moorgate.json": say(strings.Replace(about, "/token", "@mallory.example/token", 1))}, client.Server{}, client.ErrNotMoorgate,
		},
		"a redirect": {
			map[string]http.HandlerFunc{"/.well-known/moorgate.json": http.RedirectHandler(gate.URL+"/.well-known/moorgate.json", http.StatusFound).ServeHTTP}, client.Server{}, client.ErrNotMoorgate,
		},
		"one that is ill": {
			map[string]http.HandlerFunc{"/.well-known/moorgate.json": http.RedirectHandler("/", http.StatusServiceUnavailable).ServeHTTP}, client.Server{}, client.ErrUnreachable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, tt.answers)
			got, err := newClient(t).Find(t.Context(), f.host)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%+v, %v; want %+v, %v", got, err, tt.want, tt.err)
			}
			if strings.Contains(f.asked(), "POST") {
				t.Errorf("something was sent: %s", f.asked())
			}
		})
	}
	if _, err := newClient(t).Find(t.Context(), "127.0.0.1:1"); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestAnswersOfATokenEndpoint(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, nil)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		err    error  // nil: any
		says   string // in the error; "" is none
	}{
		"good":            {say(`{"access_token":"s","refresh_token":"r","account":"alice","expires_in":3600}`), nil, ""},
		"of endless life": {say(`{"access_token":"s","account":"alice","expires_in":9223372036854775807}`), nil, ""},
		"without a name":  {say(`{"access_token":"s","expires_in":3600}`), client.ErrNotMoorgate, "no session"},
		"not JSON":        {say(`hello`), client.ErrNotMoorgate, "no session"},
		"endless":         {say(`"` + strings.Repeat("x", 128<<10)), nil, "more than 65536 bytes"},
		"a wrong password": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error_description":"user name or password\u001b[2J is wrong"}`))
		}, client.ErrRefused, "user name or password [2J is wrong"},
		"busy":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, client.ErrUnreachable, "status 429"},
		"no sessions": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }, nil, "status 400"},
		"a redirect":  {http.RedirectHandler(elsewhere.URL+"/token", http.StatusTemporaryRedirect).ServeHTTP, nil, "redirect"},
		"an old one":  {http.RedirectHandler(elsewhere.URL+"/token", http.StatusMovedPermanently).ServeHTTP, nil, "redirect"},
		"broken off":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, client.ErrUnreachable, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, map[string]http.HandlerFunc{"/token": tt.answer})
			got, err := newClient(t).SignIn(t.Context(), client.Server{Token: f.URL + "/token"}, "alice", "s3cret")
			if tt.says != "" {
				wantError(t, err, tt.err, tt.says)
			} else if err != nil || got.User != "alice" || got.Token != "s" || got.Life <= 0 || got.Life.Hours() > 24 {
				t.Errorf("%+v, %v", got, err)
			}
			if !strings.Contains(f.asked(), "password=s3cret&service=urn%3Amoorgate%3Asession&username=alice") {
				t.Errorf("it was sent %s", f.asked())
			}
		})
	}
	t.Cleanup(func() {
		if asked := elsewhere.asked(); asked != "" {
			t.Errorf("another server was sent %s", asked)
		}
	})
}

// wantError fails the test unless err is want, if that is not nil, and says something
// about it, and nothing about the password.
func wantError(t *testing.T, err, want error, says string) {
	t.Helper()
	if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v; want %v with %q", err, want, says)
	}
}

func TestTrust(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(say("hello"))
	t.Cleanup(server.Close)
	host := client.Host(strings.TrimPrefix(server.URL, "https://"))
	reaches := func(dirs []string, ca string) error {
		trust, err := client.NewTrust(dirs, ca, host)
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.NewHTTP(trust).Do(r)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	dir := t.TempDir()
	pem := filepath.Join(dir, string(host), "ca.crt")
	writePEM(t, pem, server)
	if err := reaches(nil, ""); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a stranger is trusted: %v", err)
	}
	if err := reaches([]string{filepath.Join(dir, "none"), dir}, ""); err != nil {
		t.Errorf("by certs.d: %v", err)
	}
	if err := reaches(nil, pem); err != nil {
		t.Errorf("by a file: %v", err)
	}
	if err := reaches(nil, filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there is trusted")
	}
	if err := os.WriteFile(pem, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reaches([]string{dir}, ""); err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("a file with nothing in it: %v", err)
	}
}

// A registry that asks for a client certificate gets the one in certs.d.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(say(about))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	host := client.Host(strings.TrimPrefix(server.URL, "https://"))
	dir := t.TempDir()
	writePEM(t, filepath.Join(dir, string(host), "ca.crt"), server)
	find := func() error {
		trust, err := client.NewTrust([]string{dir}, "", host)
		if err != nil {
			return err
		}
		_, err = (&client.Client{HTTP: client.NewHTTP(trust)}).Find(t.Context(), host)
		return err
	}
	if err := find(); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("without a certificate: %v", err)
	}
	hosts, err := certs.ParseHosts([]string{"alice.example"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := certs.SelfSigned(filepath.Join(t.TempDir(), "alice"), hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(dir, string(host), "client.cert")
	copyFile(t, made.Cert, cert)
	if err := find(); err == nil || !strings.Contains(err.Error(), "client.key") {
		t.Errorf("without its key: %v", err)
	}
	copyFile(t, made.Key, strings.TrimSuffix(cert, ".cert")+".key")
	if err := find(); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
