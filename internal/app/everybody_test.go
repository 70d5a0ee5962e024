package app_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/authn/ldaptest"
	"github.com/moorgate/moorgate/internal/authn/oidctest"
	"github.com/moorgate/moorgate/internal/authn/programtest"
	"github.com/moorgate/moorgate/internal/testserver"
)

// everySource is a configuration with a source of each kind. In each is somebody whom
// no other knows.
func everySource(t *testing.T, ca *clientCA, directory *ldaptest.Server, issuer *oidctest.Provider, hook *programtest.Service) string {
	t.Helper()
	return fmt.Sprintf(`
login:
  - ldap:
      urls: %s
      ca: %s
      bind_dn: %s
      password_file: %s
      users: {base: "%s"}
      timeout: 30s
      cache: 0s
  - oidc: {issuer: "%s", ca: "%s", audience: registry.example, require: 'claims.owner == "acme"', user: claims.project}
  - webhook: {url: "%s", ca: "%s", secret_file: "%s", timeout: 1m, cache: 0s}
  - exec: {command: ["%s"], timeout: 1m, cache: 0s}
  - htpasswd: {file: "%s"}
  - front: {from: %s, secret_file: "%s"}
%s
access:
  rules:
    - {who: "user:*", may: [pull, push], repos: "shared/**"}
`, directory.TLSURL, directory.CA, ldaptest.Searcher, directory.PasswordFile, ldaptest.People,
		issuer.Issuer, issuer.CA, hook.URL, hook.CA, hook.SecretFile,
		strings.Join(programtest.Command(t, programtest.NewUsers(t, map[string]string{"erin": "program word 2"})), `", "`),
		passwordFile(t, "alice"), theFront, write(t, filepath.Join(t.TempDir(), "front.secret"), frontSecret), ca.login(""))
}

// TestEverybodyAtOnce has one server for the people of all kinds of sources, and lets
// each of them in. While the directory, the issuer and the service are away, those of
// the directory and the service are told to come again, and nobody else notices.
func TestEverybodyAtOnce(t *testing.T) {
	t.Parallel()
	ca, directory, issuer := newClientCA(t), ldaptest.Start(t), oidctest.Start(t)
	directory.AddPerson(t, ldaptest.People, "bob", "directory word 1")
	hook := startHook(t, programtest.NewUsers(t, map[string]string{"carol": "carol at the service"}))
	s, made := startCertified(t, everySource(t, ca, directory, issuer, hook))
	robot := keysOf(t, s).make(keys.Request{Name: "robot", May: []string{"pull,push:shared/**"}})
	anybody := shows(t, s, made, nil)
	front := shows(t, s, made, nil)
	front.http.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(theFront)}}).DialContext

	local := map[string]func() int{
		"htpasswd":    func() int { return anybody.as("alice", "the password of alice").begins(t, "shared/app") },
		"exec":        func() int { return anybody.as("erin", "program word 2").begins(t, "shared/app") },
		"oidc":        func() int { return anybody.as("oidc", issuer.Token(t, job("main"))).begins(t, "shared/app") },
		"certificate": func() int { return shows(t, s, made, ca.Client(t, "dave")).begins(t, "shared/app") },
		"key":         func() int { return anybody.as("robot", robot.Secret).begins(t, "shared/app") },
		"front": func() int {
			return front.do(t, http.MethodPost, "/v2/shared/app/blobs/uploads/", nil, says("frank")...).status
		},
	}
	distant := map[string]func() int{
		"ldap":    func() int { return anybody.as("bob", "directory word 1").begins(t, "shared/app") },
		"webhook": func() int { return anybody.as("carol", "carol at the service").begins(t, "shared/app") },
	}
	all := func(when string, people map[string]func() int, want int) {
		t.Helper()
		for source, begins := range people {
			if got := begins(); got != want {
				t.Errorf("%s, %s: status %d, want %d", when, source, got, want)
			}
		}
	}
	all("with all there", local, http.StatusAccepted)
	all("with all there", distant, http.StatusAccepted)
	if got := anybody.as("mallory", "directory word 1").begins(t, "shared/app"); got != http.StatusUnauthorized {
		t.Errorf("mallory: status %d", got)
	}
	if got := anybody.begins(t, "shared/app"); got != http.StatusUnauthorized {
		t.Errorf("nobody: status %d", got)
	}
	token := issuer.Token(t, job("main"))
	local["oidc"] = func() int { return anybody.as("oidc", token).begins(t, "shared/app") }
	directory.Stop()
	hook.Stop()
	issuer.Stop() // whose keys are known
	all("with some away", local, http.StatusAccepted)
	all("with some away", distant, http.StatusServiceUnavailable)
	directory.Restart(t)
	hook.Restart(t)
	for source, begins := range distant {
		eventually(t, source+" is there again", func() bool { return begins() == http.StatusAccepted })
	}
	noSecretIn(t, s, robot.Secret, token)
}

func noSecretIn(t *testing.T, s *testserver.Server, secrets ...string) {
	t.Helper()
	for _, secret := range append(secrets, "directory word 1", "carol at the service", "program word 2", "the password of alice", frontSecret) {
		if strings.Contains(s.Log(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}
