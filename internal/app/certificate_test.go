package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/certtest"
	"github.com/moorgate/moorgate/internal/certs"
	"github.com/moorgate/moorgate/internal/testserver"
)

// clientCA is an authority of clients, in a file that a server reads.
type clientCA struct {
	*certtest.Authority
	file string
}

func newClientCA(t *testing.T) *clientCA {
	t.Helper()
	ca := certtest.NewAuthority(t, "Clients")
	return &clientCA{ca, certtest.Write(t, filepath.Join(t.TempDir(), "clients.pem"), ca.PEM())}
}

// login is the configuration of a source, with more keys.
func (ca *clientCA) login(more string) string {
	return fmt.Sprintf("  - certificate:\n      ca: %s\n%s", ca.file, more)
}

// startCertified runs a server with TLS and a configuration.
func startCertified(t *testing.T, config string) (*testserver.Server, certs.Result) {
	t.Helper()
	made := pair(t, t.TempDir())
	return start(t, config, "--tls-cert", made.Cert, "--tls-key", made.Key), made
}

// shows returns a client that shows a certificate, whatever the server asks for; nil
// for none.
func shows(t *testing.T, s *testserver.Server, server certs.Result, pair *tls.Certificate) *client {
	t.Helper()
	config := trust(t, server.CACert)
	if pair != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return newClient(t, s, config)
}

const certificateRules = `
access:
  rules:
    - {who: "*", may: pull, repos: "public/**"}
    - {who: group:developers, may: [pull, push], repos: "team/**"}
    - {who: user:bob, may: [pull, push], repos: "bob/**"}
`

// in puts a client into a group.
func in(group string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{group} }
}

// begins reports with which status an upload is answered.
func (c *client) begins(t *testing.T, repo string) int {
	t.Helper()
	return c.do(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil).status
}

// TestClientCertificates lets people in by what they show, with the rights of their
// groups. A password in the request counts instead.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca := newClientCA(t)
	s, made := startCertified(t, "login:\n"+ca.login("      groups: ou\n")+"  - htpasswd: {file: "+passwordFile(t, "bob")+"}\n"+certificateRules)
	alice := shows(t, s, made, ca.Client(t, "alice", in("developers")))
	content := randomBytes(1000)
	alice.push(t, "team/app", content)
	alice.holds(t, "team/app", content)
	for name, tt := range map[string]struct {
		c    *client
		repo string
		want int
	}{
		"no right there":                {alice, "bob/app", http.StatusNotFound},
		"of the same team":              {shows(t, s, made, ca.Below(t, "Teams").Client(t, "carol", in("developers"))), "team/app", http.StatusAccepted},
		"of no team":                    {shows(t, s, made, ca.Client(t, "dave")), "team/app", http.StatusNotFound},
		"the name of a user of a file":  {shows(t, s, made, ca.Client(t, "bob")), "bob/app", http.StatusAccepted},
		"a password counts instead":     {alice.as("bob", "the password of bob"), "bob/app", http.StatusAccepted},
		"that of nobody as well":        {alice.as("bob", "wrong"), "team/app", http.StatusUnauthorized},
		"no certificate":                {shows(t, s, made, nil), "team/app", http.StatusUnauthorized},
		"of another authority":          {shows(t, s, made, certtest.NewAuthority(t, "Clients").Client(t, "alice", in("developers"))), "team/app", http.StatusUnauthorized},
		"of a server":                   {shows(t, s, made, ca.Client(t, "alice", in("developers"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), "team/app", http.StatusUnauthorized},
		"expired":                       {shows(t, s, made, ca.Client(t, "alice", in("developers"), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "team/app", http.StatusUnauthorized},
		"without a name":                {shows(t, s, made, ca.Client(t, "", in("developers"))), "team/app", http.StatusUnauthorized},
		"with the one of the server":    {shows(t, s, made, serverPair(t, made)), "team/app", http.StatusUnauthorized},
		"who is nobody pulls in public": {shows(t, s, made, certtest.NewAuthority(t, "Others").Client(t, "x")), "public/app", http.StatusUnauthorized},
	} {
		if got := tt.c.begins(t, tt.repo); got != tt.want {
			t.Errorf("%s: status %d, want %d", name, got, tt.want)
		}
	}
	for _, why := range []string{"no authority in", "lacks clientAuth", "renew it", "it has no common name"} {
		logged(t, s, "msg=audit", "outcome=login-failed", why)
	}
}

// serverPair is the certificate of the server, as that of a client.
func serverPair(t *testing.T, made certs.Result) *tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(made.Cert, made.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// traced returns a context that notes whether the last request went over a
// connection that was there.
func traced(t *testing.T) (context.Context, *atomic.Bool) {
	var reused atomic.Bool
	return httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused.Store(i.Reused) }}), &reused
}

// TestAuthorityIsTakenAway refuses people of an authority as soon as it is gone: on
// connections that are open, and on those that go on with an earlier one's session.
func TestAuthorityIsTakenAway(t *testing.T) {
	t.Parallel()
	ca, next := newClientCA(t), certtest.NewAuthority(t, "Next")
	s, made := startCertified(t, "login:\n"+ca.login(""))
	alice, bob := ca.Client(t, "alice"), next.Client(t, "bob")
	clients := map[string]*client{}
	for name, protocol := range map[string]string{"HTTP/1.1": "http/1.1", "HTTP/2.0": "h2"} {
		c := shows(t, s, made, alice)
		c.http.Transport.(*http.Transport).TLSClientConfig.NextProtos = []string{protocol}
		c.http.Transport.(*http.Transport).ForceAttemptHTTP2 = protocol == "h2"
		if got := c.status(t); got != http.StatusOK {
			t.Fatalf("%s: status %d", name, got)
		}
		clients[name] = c
	}
	resumed := shows(t, s, made, alice)
	resumed.http.Transport.(*http.Transport).DisableKeepAlives = true
	resumed.http.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if got, is := resume(t, resumed); got != http.StatusOK || is {
		t.Fatalf("at first: status %d, resumed %v", got, is)
	}
	if got, is := resume(t, resumed); got != http.StatusOK || !is {
		t.Fatalf("the second time: status %d, resumed %v", got, is)
	}

	certtest.Write(t, ca.file, next.PEM())
	logged(t, s, "reloaded authorities of clients", ca.file)
	for name, c := range clients {
		ctx, reused := traced(t)
		a, err := c.try(ctx, http.MethodGet, "/v2/", nil)
		if err != nil || a.status != http.StatusUnauthorized || !reused.Load() {
			t.Errorf("%s: status %d, %v, over the same connection: %v", name, a.status, err, reused.Load())
		}
	}
	if got, is := resume(t, resumed); got != http.StatusUnauthorized || !is {
		t.Errorf("after it: status %d, resumed %v", got, is)
	}
	if got := shows(t, s, made, bob).status(t); got != http.StatusOK {
		t.Errorf("the new one: status %d", got)
	}

	certtest.Write(t, ca.file, "nothing\n")
	logged(t, s, "level=ERROR", "cannot reload authorities of clients: the last good one stays in force", "there is no certificate in")
	if got := shows(t, s, made, bob).status(t); got != http.StatusOK {
		t.Errorf("with a bad file: status %d", got)
	}
}

// resume sends a request over a connection of its own, and reports whether that goes
// on with the session of an earlier one.
func resume(t *testing.T, c *client) (status int, resumed bool) {
	t.Helper()
	r, err := c.request(t.Context(), http.MethodGet, "/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answered json.RawMessage
	_ = json.NewDecoder(resp.Body).Decode(&answered) // to the end: the ticket comes before it
	return resp.StatusCode, resp.TLS.DidResume
}

// TestClientsAreToldWhoseCertificatesCount looks at what the server asks for, before
// and after the authority has changed; and that it asks for none without a source.
func TestClientsAreToldWhoseCertificatesCount(t *testing.T) {
	t.Parallel()
	ca, next := newClientCA(t), certtest.NewAuthority(t, "Next")
	s, made := startCertified(t, "login:\n"+ca.login(""))
	asked := func(s *testserver.Server, made certs.Result) (names [][]byte, was bool) {
		config := trust(t, made.CACert)
		config.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			names, was = i.AcceptableCAs, true
			return &tls.Certificate{}, nil
		}
		if got := newClient(t, s, config).status(t); got != http.StatusUnauthorized {
			t.Errorf("status %d", got)
		}
		return names, was
	}
	for _, want := range []*certtest.Authority{ca.Authority, next} {
		certtest.Write(t, ca.file, want.PEM())
		eventually(t, "the authority to be told", func() bool {
			names, _ := asked(s, made)
			return len(names) == 1 && string(names[0]) == string(want.Cert.RawSubject)
		})
	}
	other, otherMade := startCertified(t, "")
	if _, was := asked(other, otherMade); was {
		t.Error("a server without such a source asks for certificates")
	}
}

// TestRevokedWhileServing takes a certificate back.
func TestRevokedWhileServing(t *testing.T) {
	t.Parallel()
	ca := newClientCA(t)
	now := time.Now().Add(-time.Minute)
	list := certtest.Write(t, filepath.Join(t.TempDir(), "revoked.pem"), ca.List(t, now, nil))
	alice, bob := ca.Client(t, "alice"), ca.Client(t, "bob")
	s, made := startCertified(t, "login:\n"+ca.login("      crl: "+list+"\n"))
	a, b := shows(t, s, made, alice), shows(t, s, made, bob)
	a.soon(t, http.StatusOK)
	b.soon(t, http.StatusOK)
	certtest.Write(t, list, ca.List(t, now.Add(time.Second), []*tls.Certificate{bob}))
	b.soon(t, http.StatusUnauthorized)
	a.soon(t, http.StatusOK)
	logged(t, s, "outcome=login-failed", "revoked by")
	certtest.Write(t, list, ca.List(t, now.Add(-2*time.Hour), nil))
	a.soon(t, http.StatusServiceUnavailable)
	if got := a.do(t, http.MethodGet, "/v2/", nil); got.header.Get("Retry-After") == "" {
		t.Error("nobody says when to come again")
	}
	logged(t, s, "level=WARN", "client certificates", "is out of date since")
	if got := shows(t, s, made, nil).status(t); got != http.StatusUnauthorized {
		t.Errorf("without a certificate: status %d", got)
	}
}

// TestTokensForCertificates asks the token endpoint with a certificate. There is no
// refresh token: nobody could say later whether its owner is still there.
func TestTokensForCertificates(t *testing.T) {
	t.Parallel()
	ca := newClientCA(t)
	s, made := startCertified(t, "login:\n"+ca.login("      groups: ou\n")+certificateRules)
	alice, anybody := shows(t, s, made, ca.Client(t, "alice", in("developers"))), shows(t, s, made, nil)
	if got := anybody.do(t, http.MethodGet, "/v2/team/app/tags/list", nil); got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("Www-Authenticate"), "Bearer ") {
		t.Errorf("without a certificate: %d, %q", got.status, got.header.Get("Www-Authenticate"))
	}
	var told struct {
		Token        string  `json:"token"`
		RefreshToken *string `json:"refresh_token"`
	}
	const ask = "/token?service=moorgate&offline_token=true&scope=repository:team/app:pull,push"
	body := alice.want(t, http.StatusOK, http.MethodGet, ask, nil).body
	if err := json.Unmarshal(body, &told); err != nil || told.Token == "" || told.RefreshToken != nil {
		t.Fatalf("%s, %v; want a token, and none to refresh it", body, err)
	}
	for token, want := range map[string]int{told.Token: http.StatusAccepted, anybody.token(t, "", "repository:team/app:pull,push"): http.StatusUnauthorized} {
		a := anybody.do(t, http.MethodPost, "/v2/team/app/blobs/uploads/", nil, "Authorization", "Bearer "+token)
		if a.status != want {
			t.Errorf("status %d, want %d", a.status, want)
		}
	}
}

// TestTokenServerTakesCertificates gives out tokens for the registries of others.
func TestTokenServerTakesCertificates(t *testing.T) {
	t.Parallel()
	ca := newClientCA(t)
	made := pair(t, t.TempDir())
	config := "token: {services: [{name: registry}]}\nlogin:\n" + ca.login("      groups: ou\n") + certificateRules
	s := testserver.StartAs(t, "token", withConfig(t, config, []string{"--tls-cert", made.Cert, "--tls-key", made.Key})...)
	const ask = "/token?service=registry&scope=repository:team/app:pull,push"
	for name, tt := range map[string]struct {
		pair *tls.Certificate
		want string // what is granted
	}{
		"a developer": {ca.Client(t, "alice", in("developers")), `"actions":["pull","push"]`},
		"another":     {ca.Client(t, "bob"), `"access":[]`},
		"nobody":      {nil, `"access":[]`},
	} {
		var told struct {
			Token string `json:"token"`
		}
		body := shows(t, s, made, tt.pair).want(t, http.StatusOK, http.MethodGet, ask, nil).body
		if err := json.Unmarshal(body, &told); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(told.Token, ".")
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || !strings.Contains(string(claims), tt.want) {
			t.Errorf("%s: %v, %s; want %s", name, err, claims, tt.want)
		}
	}
}

// TestCertificateOfAProxy is nobody's: who sends requests through it is somebody
// else.
func TestCertificateOfAProxy(t *testing.T) {
	t.Parallel()
	ca := newClientCA(t)
	s, made := startCertified(t, "trusted_proxies: 127.0.0.1\nlogin:\n"+ca.login(""))
	through := shows(t, s, made, ca.Client(t, "alice")).do(t, http.MethodGet, "/v2/", nil, "X-Forwarded-Proto", "https")
	if through.status != http.StatusUnauthorized {
		t.Errorf("status %d", through.status)
	}
}

// TestGatewayTakesCertificates has the gate in front of another registry.
func TestGatewayTakesCertificates(t *testing.T) {
	t.Parallel()
	ca := newClientCA(t)
	behind := testserver.Start(t, "--open")
	made := pair(t, t.TempDir())
	s := gateway(t, withConfig(t, "login:\n"+ca.login("      groups: ou\n")+certificateRules, []string{"--tls-cert", made.Cert, "--tls-key", made.Key, "--upstream", behind.URL})...)
	content := randomBytes(1000)
	shows(t, s, made, ca.Client(t, "alice", in("developers"))).push(t, "team/app", content)
	newClient(t, behind, nil).holds(t, "team/app", content)
	if got := shows(t, s, made, nil).begins(t, "team/app"); got != http.StatusUnauthorized {
		t.Errorf("without a certificate: status %d", got)
	}
}

func TestCertificatesThatCannotBe(t *testing.T) {
	t.Parallel()
	made := pair(t, t.TempDir())
	bad := write(t, filepath.Join(t.TempDir(), "bad.pem"), "nothing\n")
	tls := []string{"--tls-cert", made.Cert, "--tls-key", made.Key}
	for want, tt := range map[string]struct {
		config string
		args   []string
	}{
		"login[0].certificate: certificates are shown only over TLS":                           {"login: [{certificate: {ca: " + made.CACert + "}}]\n", nil},
		"login[0].certificate.ca: name the PEM file":                                           {"login: [{certificate: {user: cn}}]\n", tls},
		"login certificate: the authorities of clients (ca): there is no certificate in":       {"login: [{certificate: {ca: " + bad + "}}]\n", tls},
		"login certificate: the authorities of clients (ca): open /nowhere":                    {"login: [{certificate: {ca: /nowhere}}]\n", tls},
		"login certificate: the authorities of clients (ca): " + made.Cert + ": certificate 1": {"login: [{certificate: {ca: " + made.Cert + "}}]\n", tls},
		"login certificate: the revocation lists (crl): " + bad:                                {"login: [{certificate: {ca: " + made.CACert + ", crl: " + bad + "}}]\n", tls},
	} {
		s, err := testserver.TryStart(t, withConfig(t, tt.config, tt.args)...)
		if err == nil || !strings.Contains(s.Log(), want) {
			t.Errorf("%v; want %q:\n%s", err, want, s.Log())
			continue
		}
		_ = s.Stop()
	}
}
