package app_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/certtest"
	"github.com/moorgate/moorgate/internal/testserver"
)

// Addresses of this machine. Only the first is that of the front.
const (
	theFront     = "127.0.0.2"
	anotherProxy = "127.0.0.3" // whose forwarded addresses count
	anybodyElse  = "127.0.0.4"
)

const frontSecret = "the word of the front, 0123456789"

// frontConfig is a configuration with a front, whose secret is in a file.
func frontConfig(t *testing.T, more string) (config, secretFile string) {
	t.Helper()
	secretFile = write(t, filepath.Join(t.TempDir(), "front.secret"), frontSecret+"\n")
	return fmt.Sprintf(`
trusted_proxies: [%s, %s]
login:
  - front: {from: %s, groups: X-Forwarded-Groups, secret_file: %s%s}
`, theFront, anotherProxy, theFront, secretFile, more), secretFile
}

// comesFrom returns a client that connects from an address of this machine.
func comesFrom(t *testing.T, s *testserver.Server, address string) *client {
	t.Helper()
	c := newClient(t, s, nil)
	c.http.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext
	return c
}

// says are the headers of the front about a user, and more.
func says(user string, more ...string) []string {
	return append([]string{"X-Forwarded-User", user, "X-Front-Secret", frontSecret, "X-Forwarded-Proto", "https"}, more...)
}

const frontRules = `
access:
  rules:
    - {who: "*", may: pull, repos: "public/**"}
    - {who: user:alice, may: [pull, push], repos: "alice/**"}
    - {who: group:developers, may: [pull, push], repos: "team/**"}
`

// TestFront takes the word of one proxy, and of nobody else.
func TestFront(t *testing.T) {
	t.Parallel()
	config, _ := frontConfig(t, "")
	s := start(t, config+"  - htpasswd: {file: "+passwordFile(t, "carol")+"}\n"+frontRules)
	front, other, mallory := comesFrom(t, s, theFront), comesFrom(t, s, anotherProxy), comesFrom(t, s, anybodyElse)
	for name, tt := range map[string]struct {
		c       *client
		headers []string
		repo    string
		want    int
	}{
		"alice":                       {front, says("alice"), "alice/app", http.StatusAccepted},
		"alice elsewhere":             {front, says("alice"), "team/app", http.StatusNotFound},
		"bob in a group":              {front, says("bob", "X-Forwarded-Groups", "x, developers"), "team/app", http.StatusAccepted},
		"bob in another":              {front, says("bob", "X-Forwarded-Groups", "x, developer"), "team/app", http.StatusNotFound},
		"from another proxy":          {other, says("alice"), "alice/app", http.StatusUnauthorized},
		"forwarded for the front":     {other, says("alice", "X-Forwarded-For", theFront, "Forwarded", "for="+theFront), "alice/app", http.StatusUnauthorized},
		"from anywhere":               {mallory, says("alice", "X-Forwarded-For", theFront, "X-Real-Ip", theFront), "alice/app", http.StatusUnauthorized},
		"without the secret":          {front, []string{"X-Forwarded-User", "alice", "X-Forwarded-Proto", "https"}, "alice/app", http.StatusUnauthorized},
		"with another secret":         {front, says("alice", "X-Front-Secret", "another"), "alice/app", http.StatusUnauthorized},
		"two users":                   {front, says("bob, alice"), "alice/app", http.StatusUnauthorized},
		"nobody":                      {front, says(""), "alice/app", http.StatusUnauthorized},
		"an underscore":               {front, says("bob", "X_forwarded_user", "alice"), "alice/app", http.StatusUnauthorized},
		"a password counts instead":   {front.as("carol", "the password of carol"), says("alice"), "alice/app", http.StatusNotFound},
		"and a wrong one keeps out":   {front.as("carol", "wrong"), says("alice"), "alice/app", http.StatusUnauthorized},
		"the front, about nobody":     {front, []string{"X-Forwarded-Proto", "https"}, "alice/app", http.StatusUnauthorized},
		"the front, without TLS":      {front, says("alice", "X-Forwarded-Proto", "http"), "alice/app", http.StatusAccepted},
		"the front, for somebody far": {front, says("alice", "X-Forwarded-For", "203.0.113.9"), "alice/app", http.StatusAccepted},
	} {
		if got := tt.c.do(t, http.MethodPost, "/v2/"+tt.repo+"/blobs/uploads/", nil, tt.headers...).status; got != tt.want {
			t.Errorf("%s: status %d, want %d", name, got, tt.want)
		}
	}
	for _, why := range []string{"has another secret", "X-Front-Secret is there 0 times", "there is a comma in it", "looks like X-Forwarded-User"} {
		logged(t, s, "msg=audit", "outcome=login-failed", why)
	}
	if strings.Contains(s.Log(), frontSecret) {
		t.Error("the log has the secret")
	}
}

// TestFrontAndTokens gives a token to whom the front has let in, and none to refresh
// it: nobody could say later whether its owner is still there.
func TestFrontAndTokens(t *testing.T) {
	t.Parallel()
	config, _ := frontConfig(t, "")
	s := start(t, config+frontRules)
	const ask = "/token?service=moorgate&offline_token=true&scope=repository:alice/app:pull,push"
	var told struct {
		Token        string  `json:"token"`
		RefreshToken *string `json:"refresh_token"`
	}
	front := comesFrom(t, s, theFront)
	body := front.want(t, http.StatusOK, http.MethodGet, ask, nil, says("alice")...).body
	if err := json.Unmarshal(body, &told); err != nil || told.Token == "" || told.RefreshToken != nil {
		t.Fatalf("%s, %v; want a token, and none to refresh it", body, err)
	}
	comesFrom(t, s, "127.0.0.1").want(t, http.StatusAccepted, http.MethodPost, "/v2/alice/app/blobs/uploads/", nil, "Authorization", "Bearer "+told.Token)
	front.want(t, http.StatusForbidden, http.MethodGet, ask, nil, says("alice", "X-Forwarded-Proto", "http")...) // a token is a secret
}

// TestSecretOfTheFrontChanges needs no restart, and a bad file changes nothing.
func TestSecretOfTheFrontChanges(t *testing.T) {
	t.Parallel()
	config, file := frontConfig(t, "")
	s := start(t, config)
	front := comesFrom(t, s, theFront)
	asks := func(secret string) int {
		testserver.Secret(secret)
		return front.do(t, http.MethodGet, "/v2/", nil, says("alice", "X-Front-Secret", secret)...).status
	}
	next := "another word, which comes after"
	if got := asks(frontSecret); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	certtest.Write(t, file, next+"\n")
	eventually(t, "the new secret", func() bool { return asks(next) == http.StatusOK })
	if got := asks(frontSecret); got != http.StatusUnauthorized {
		t.Errorf("the old secret: status %d", got)
	}
	certtest.Write(t, file, "short\n")
	logged(t, s, "level=ERROR", "cannot reload secret of the proxy in front: the last good one stays in force")
	if got := asks(next); got != http.StatusOK {
		t.Errorf("with a bad file: status %d", got)
	}
}

// TestUpstreamsLearnNothingOfTheFront forwards neither the headers of the front nor
// its secret, whatever they are called and whoever sends them.
func TestUpstreamsLearnNothingOfTheFront(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []http.Header
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost { // the gateway asks for itself, too
			seen = append(seen, r.Header.Clone())
		}
		w.Header().Set("Location", r.URL.Path+"1234")
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(behind.Close)
	config, _ := frontConfig(t, ", user: Company-User, secret_header: Company-Word")
	config = strings.Replace(config, "groups: X-Forwarded-Groups", "groups: Company-Groups", 1)
	s := gateway(t, withConfig(t, config+"  - htpasswd: {file: "+passwordFile(t, "carol")+"}\n", []string{"--upstream", behind.URL})...)
	front := comesFrom(t, s, theFront)
	headers := []string{"Company-User", "alice", "Company-Groups", "developers", "Company-Word", frontSecret, "X-Forwarded-Proto", "https", "Accept", "a/b"}
	for _, c := range []*client{front, front.as("carol", "the password of carol"), comesFrom(t, s, "127.0.0.1").as("carol", "the password of carol")} {
		c.want(t, http.StatusAccepted, http.MethodPost, "/v2/team/app/blobs/uploads/", nil, headers...)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 3 {
		t.Fatalf("%d requests have reached the upstream", len(seen))
	}
	for _, header := range seen {
		for name, values := range header {
			if strings.HasPrefix(name, "Company-") || strings.Contains(strings.Join(values, " "), frontSecret) {
				t.Errorf("the upstream was sent %s", name)
			}
		}
		if header.Get("Accept") != "a/b" {
			t.Error("the upstream was not sent what it needs")
		}
	}
}

func TestFrontsThatCannotBe(t *testing.T) {
	t.Parallel()
	short := write(t, filepath.Join(t.TempDir(), "short"), "short\n")
	for want, config := range map[string]string{
		"login[0].front.from: name the addresses":               "login: [{front: {user: X-User}}]\n",
		"login[0].front.from[0]: 0.0.0.0/0 would believe half":  "login: [{front: {from: 0.0.0.0/0}}]\n",
		"login[0].front.secret_file: every program on this":     "login: [{front: {from: \"::1\"}}]\n",
		"login front: the secret of the proxy (secret_file): a": "login: [{front: {from: 127.0.0.1, secret_file: " + short + "}}]\n",
		"login front: the secret of the proxy (secret_file): o": "login: [{front: {from: 127.0.0.1, secret_file: /nowhere}}]\n",
		"login[0].front.user: \\\"X_User\\\" is not a header":   "login: [{front: {from: 10.1.2.3, user: X_User}}]\n",
		"no such key; known here: from, user, groups":           "login: [{front: {from: 10.1.2.3, header: X-User}}]\n",
	} {
		s, err := testserver.TryStart(t, withConfig(t, config, nil)...)
		if err == nil || !strings.Contains(s.Log(), want) && !strings.Contains(s.Log(), strings.ReplaceAll(want, `\"`, `"`)) {
			t.Errorf("%v; want %q:\n%s", err, want, s.Log())
			continue
		}
	}
}
