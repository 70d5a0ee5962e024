// Package oidctest runs a real provider of OpenID Connect for tests, the program of
// tools/oidcprovider, with a certificate of its own and two users.
package oidctest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
)

// The users of every provider, and its public client, which has the device flow
// (RFC 8628) and refresh tokens (scope offline_access). The ID tokens that users get
// have the audience Client, the user's name as sub, and with the scopes openid,
// profile, email and groups the claims of these names.
const (
	Client = "moorgate"

	Ada         = "ada" // in the groups dev and ops
	AdaPassword = "analytical engine"
	Bob         = "bob" // in no group
	BobPassword = "builds everything"
)

// Provider is a running provider.
type Provider struct {
	Issuer string       // such as https://127.0.0.1:40001
	CA     string       // file of the authority of its certificate
	HTTP   *http.Client // trusts it

	made certs.Files
	stop func()
}

// startTimeout bounds the wait for a provider that starts, requestTimeout that for an
// answer of it.
const (
	startTimeout   = 60 * time.Second
	requestTimeout = 60 * time.Second
)

// Start runs a provider until the end of the test.
func Start(t testing.TB) *Provider {
	t.Helper()
	hosts, err := certs.ParseHosts([]string{"localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{}
	made, err := certs.SelfSigned(filepath.Join(t.TempDir(), "tls"), hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.made = made.Files
	p.CA = p.made.CACert
	pem, err := os.ReadFile(p.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	p.HTTP = &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
		Timeout:   requestTimeout,
	}
	if err := p.run(t, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return p
}

// Stop ends the provider, as a machine that goes away does.
func (p *Provider) Stop() { p.stop() }

// Restart runs it again where it was. It has other keys then, and has forgotten all
// tokens.
func (p *Provider) Restart(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for { // somebody else may have its port, for a while
		err := p.run(t, strings.TrimPrefix(p.Issuer, "https://"))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// program returns where the Makefile puts the provider.
func program() string {
	_, file, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(file), "..", "..", "..", ".cache", "bin", "oidcprovider")
	if _, err := os.Stat(path); err != nil {
		return "oidcprovider" // built with -trimpath: let it be in the PATH
	}
	return path
}

// run starts the program and returns when it listens.
func (p *Provider) run(t testing.TB, listen string) error {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program(),
		"-listen", listen, "-client", Client, "-tls-cert", p.made.Cert, "-tls-key", p.made.Key,
		"-user", Ada+":"+AdaPassword+":dev,ops", "-user", Bob+":"+BobPassword+":")
	var output bytes.Buffer
	cmd.Stderr = &output
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("the provider cannot be run, \"make peers\" builds it: %w", err)
	}
	p.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // by a signal
	})
	t.Cleanup(p.stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.stop()
		return fmt.Errorf("the provider ended: %s", output.String())
	}
	p.Issuer = strings.TrimPrefix(strings.TrimSpace(line), "issuer ")
	return nil
}

// Token returns an ID token of these claims, as a CI system gives one to a job. iss,
// iat and exp (five minutes from now) have defaults; aud has none.
func (p *Provider) Token(t testing.TB, claims map[string]any) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(p.post(t, "/test/token", url.Values{"claims": {string(text)}}))
}

// Rotate makes another signing key. The keys that were there stay published, or go.
func (p *Provider) Rotate(t testing.TB, keep bool) {
	t.Helper()
	form := url.Values{}
	if keep {
		form.Set("keep", "1")
	}
	p.post(t, "/test/rotate", form)
}

// Approve is what a user does on the page of the device flow: allow what shows code.
func (p *Provider) Approve(t testing.TB, code, user, password string) {
	t.Helper()
	p.decide(t, code, user, password, "allow")
}

// Deny is what a user does who does not know what shows code.
func (p *Provider) Deny(t testing.TB, code, user, password string) {
	t.Helper()
	p.decide(t, code, user, password, "deny")
}

func (p *Provider) decide(t testing.TB, code, user, password, action string) {
	t.Helper()
	p.post(t, "/device", url.Values{"user_code": {code}, "username": {user}, "password": {password}, "action": {action}})
}

// UserTokens are what somebody gets who signs in at the provider.
type UserTokens struct {
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
}

// SignIn runs the whole device flow for a user and returns what comes of it. Without
// scopes they are openid, profile, email, groups and offline_access.
func (p *Provider) SignIn(t testing.TB, user, password string, scopes ...string) UserTokens {
	t.Helper()
	if len(scopes) == 0 {
		scopes = []string{"openid", "profile", "email", "groups", "offline_access"}
	}
	var device struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	p.postJSON(t, "/device_authorization", url.Values{"client_id": {Client}, "scope": {strings.Join(scopes, " ")}}, &device)
	p.Approve(t, device.UserCode, user, password)
	var tokens UserTokens
	p.postJSON(t, "/oauth/token", url.Values{
		"client_id": {Client}, "device_code": {device.DeviceCode},
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"},
	}, &tokens)
	return tokens
}

func (p *Provider) postJSON(t testing.TB, path string, form url.Values, answer any) {
	t.Helper()
	if err := json.Unmarshal(p.post(t, path, form), answer); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// post returns the body of an answer that must be 200.
func (p *Provider) post(t testing.TB, path string, form url.Values) []byte {
	t.Helper()
	resp, err := p.HTTP.PostForm(p.Issuer+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", path, resp.Status, body, err)
	}
	return body
}
