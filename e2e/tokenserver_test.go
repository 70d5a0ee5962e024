package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/testserver"
)

// accessRules are those of the tests with other registries and of the gateway.
// Nobody but bob can read what is his.
const accessRules = `
access:
  rules:
    - {who: ["user:alice", "user:carol"], may: [pull, push, delete], repos: ["team/**"]}
    - {who: "user:bob", may: [pull, push], repos: ["bob/**"]}
    - {who: "user:root", may: "*", repos: "**"}
    - {who: "*", may: pull, repos: "public/**"}
`

// people are users with passwords.
type people map[string]string

// newPeople returns those of accessRules.
func newPeople() people {
	return people{"alice": rand.Text(), "bob": rand.Text(), "carol": rand.Text(), "root": rand.Text()}
}

// write writes a password file into dir and returns its path.
func (p people) write(t *testing.T, dir string) string {
	t.Helper()
	var lines strings.Builder
	for user, password := range p {
		lines.WriteString(hashLine(t, user, password))
	}
	path := filepath.Join(dir, "users")
	writeFile(t, path, lines.String())
	return path
}

// tokenServer is a "moorgate token" over TLS, and all that is needed to be a
// registry which trusts it.
type tokenServer struct {
	*testserver.Server
	ca, cert, key string // files: the authority, and a certificate for any server here
	people        people
	detour        *detour // how clients reach it and the registries, at awayIP
}

// startTokenServer runs a token server that signs with algorithm for the
// services, each of which is named as "NAME KEYS".
func startTokenServer(t *testing.T, algorithm string, services ...string) *tokenServer {
	t.Helper()
	dir := t.TempDir()
	s := &tokenServer{ca: filepath.Join(dir, "ca.crt"), people: newPeople(), detour: startDetour(t)}
	s.cert, s.key = writeCertificates(t, dir)
	config := fmt.Sprintf("login: [{htpasswd: {file: %s}}]\ntoken:\n  issuer: the gate\n  algorithm: %s\n  services:\n", s.people.write(t, dir), algorithm)
	for _, service := range services {
		name, keys, _ := strings.Cut(service, " ")
		config += fmt.Sprintf("    - {name: %s, keys: %s}\n", name, keys)
	}
	file := filepath.Join(dir, "token-server.yaml")
	writeFile(t, file, audited+config+accessRules)
	s.Server = testserver.StartAs(t, "token", "--config", file, "--tls-cert", s.cert, "--tls-key", s.key)
	printLogAtFailure(t, s.Server)
	return s
}

// away is the address at which clients find a server of this machine.
func away(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(awayIP, port)
}

func (s *tokenServer) realm(t *testing.T) string {
	t.Helper()
	return "https://" + away(t, s.Addr) + "/token"
}

// trustedBy returns the configuration of a registry over TLS that trusts the
// token server, as service, with its keys in the given form.
func (s *tokenServer) trustedBy(t *testing.T, service, keys string) section {
	t.Helper()
	auth := section{"realm": s.realm(t), "service": service, "issuer": "the gate"}
	if keys == "jwks" {
		auth["jwks"] = filepath.Join(s.DataDir, "token", "jwks.json")
	} else {
		auth["rootcertbundle"] = filepath.Join(s.DataDir, "token", "ca.crt")
	}
	return section{
		"http": section{"addr": "127.0.0.1:0", "secret": "not one", "tls": section{"certificate": s.cert, "key": s.key}},
		"auth": section{"token": auth},
	}
}

// delegated is a registry of others that trusts a token server of ours.
type delegated struct {
	*peer
	trusts  *tokenServer
	service string
}

// startTrusting runs a registry of that kind. keys is "certificate" or "jwks".
func (s *tokenServer) startTrusting(t *testing.T, kind peerKind, service, keys string) *delegated {
	t.Helper()
	return &delegated{peer: startPeer(t, kind, s.trustedBy(t, service, keys)), trusts: s, service: service}
}

// as returns the registry as user sees it, at the address of a machine
// elsewhere.
func (d *delegated) as(t *testing.T, user string) *registry {
	t.Helper()
	return &registry{
		Server: &testserver.Server{Addr: away(t, d.Addr), URL: "https://" + away(t, d.Addr)},
		ca:     d.trusts.ca, password: d.trusts.people[user],
	}
}

// machine returns a new machine that trusts and reaches the registry.
func (d *delegated) machine(t *testing.T) *machine {
	t.Helper()
	reg := d.as(t, "")
	m := reg.machine(t)
	m.env = append(m.env, "HTTPS_PROXY="+d.trusts.detour.URL, "SSL_CERT_FILE="+reg.ca)
	return m
}

// token gets a token from the token server, as clients do.
func (d *delegated) token(t *testing.T, user string, scopes ...string) string {
	t.Helper()
	q := url.Values{"service": {d.service}, "scope": scopes}
	req := newRequest(t, http.MethodGet, d.trusts.URL+"/token?"+q.Encode())
	if user != "" {
		req.SetBasicAuth(user, d.trusts.people[user])
	}
	var answer struct{ Token string }
	if err := json.Unmarshal(wantStatus(t, httpsClient(t, d.trusts.ca), req, http.StatusOK), &answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %v", err)
	}
	return answer.Token
}

// with asks the registry with a token, and fails the test unless the answer has
// that status.
func (d *delegated) with(t *testing.T, token string, status int, method, path string) {
	t.Helper()
	req := newRequest(t, method, "https://"+d.Addr+path)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	wantStatus(t, httpsClient(t, d.trusts.ca), req, status)
}

func newRequest(t *testing.T, method, target string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// httpsClient returns a client that trusts the authority in the file ca.
func httpsClient(t *testing.T, ca string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(readFile(t, ca)) {
		t.Fatalf("no certificate in %s", ca)
	}
	return &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
}

// wantStatus sends a request, fails the test unless the answer has that status,
// and returns its body.
func wantStatus(t *testing.T, client *http.Client, req *http.Request, status int) []byte {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", req.Method, req.URL, resp.StatusCode, status, body)
	}
	return body
}

// manifestOf returns a manifest of the layout.
func (l *layout) manifestOf(t *testing.T, d v1.Descriptor) v1.Manifest {
	t.Helper()
	var m v1.Manifest
	fromJSON(t, l.blob(t, d.Digest), &m)
	return m
}
