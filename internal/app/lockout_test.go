package app_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/ldaptest"
	"github.com/moorgate/moorgate/internal/testserver"
)

// comesFrom returns the client at another address of this machine.
func (c client) comesFrom(t *testing.T, address string) *client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	c.http = &http.Client{Transport: transport}
	return &c
}

// metric returns a number of the server; 0 where there is none.
func metric(t *testing.T, s *testserver.Server, name string) float64 {
	t.Helper()
	for line := range strings.Lines(string(probes(t, s).want(t, http.StatusOK, http.MethodGet, "/metrics", nil).body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(line, err)
			}
			return n
		}
	}
	return 0
}

var ourMetrics = regexp.MustCompile(`(?m)^# TYPE (moorgate_\w+) `)

// TestLoginsAreCounted: each source has its own numbers, and a lock is seen.
func TestLoginsAreCounted(t *testing.T) {
	t.Parallel()
	file := passwordFile(t, "bob")
	s := start(t, probed+"lockout: {failures: 1, first: 1h, longest: 1h, delay: 0s}\n"+
		fmt.Sprintf("login: [{name: first, htpasswd: {file: %s}}, {name: second, htpasswd: {file: %s}}]\n", usersFile(t, "of alice"), file))
	anybody := newClient(t, s, nil)
	alice, bob := anybody.as("alice", "of alice"), anybody.as("bob", "the password of bob")
	for range 3 {
		alice.want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
	}
	bob.want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
	token := bob.token(t, "bob", "repository:x:pull")
	anybody.want(t, http.StatusOK, http.MethodGet, "/v2/", nil, "Authorization", "Bearer "+token)
	anybody.as("alice", "guess").want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
	alice.want(t, http.StatusTooManyRequests, http.MethodGet, "/v2/", nil)
	for name, want := range map[string]float64{
		`moorgate_logins_total{by="password",outcome="ok",source="first"}`:      3,
		`moorgate_logins_total{by="password",outcome="wrong",source="first"}`:   1,
		`moorgate_logins_total{by="password",outcome="unknown",source="first"}`: 2,
		`moorgate_logins_total{by="password",outcome="ok",source="second"}`:     2,
		`moorgate_logins_total{by="password",outcome="fault",source="second"}`:  0,
		`moorgate_logins_total{by="token",outcome="ok",source="own"}`:           1,
		`moorgate_login_seconds_count{by="password",source="first"}`:            6,
		`moorgate_passwords_remembered_total`:                                   3,
		`moorgate_password_hashes_total`:                                        5, // two right ones, a wrong one, and the first file twice for bob
		`moorgate_lockouts{kind="pair"}`:                                        1,
		`moorgate_lockouts{kind="user"}`:                                        0,
		`moorgate_lockout_refused_total`:                                        1,
	} {
		if got := metric(t, s, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ourMetrics.FindAllSubmatch(probes(t, s).do(t, http.MethodGet, "/metrics", nil).body, -1) {
		if !strings.Contains(string(page), "`"+string(m[1])) {
			t.Errorf("docs/metrics.md does not have %s", m[1])
		}
	}
	if metric(t, s, "go_goroutines") == 0 || metric(t, s, "process_resident_memory_bytes") == 0 {
		t.Error("the process is not measured")
	}
}

// TestMalloryGuessesThroughTheFrontDoor: a hundred at once, at both doors.
func TestMalloryGuessesThroughTheFrontDoor(t *testing.T) {
	t.Parallel()
	bothGates(t, probed+"lockout: {first: 1h, longest: 1h, delay: 10ms}\n", func(t *testing.T, s *testserver.Server) {
		t.Helper()
		mallory := newClient(t, s, nil).comesFrom(t, "127.0.0.66")
		before := metric(t, s, "moorgate_password_hashes_total")
		statuses := map[int]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 100 {
			path := []string{"/v2/", "/token?service=moorgate"}[i%2]
			all.Go(func() {
				a, err := mallory.as("alice", fmt.Sprint("guess ", i)).try(t.Context(), http.MethodGet, path, nil)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				statuses[a.status]++
				if a.status == http.StatusTooManyRequests && (a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "") {
					t.Errorf("a locked login is answered with %v", a.header)
				}
			})
		}
		all.Wait()
		if n := metric(t, s, "moorgate_password_hashes_total") - before; n > 5 || n < 1 || statuses[http.StatusUnauthorized] != int(n) || statuses[http.StatusTooManyRequests] != 100-int(n) {
			t.Errorf("%v passwords were checked, the answers are %v", n, statuses)
		}
		// Alice, with the right password, is let in from elsewhere, and so is bob from there.
		newClient(t, s, nil).as("alice", "the password of alice").want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
		mallory.as("bob", "the password of bob").want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
		if log := s.Log(); strings.Contains(log, "guess ") {
			t.Errorf("a password is in the log:\n%s", log)
		}
	})
}

// TestMalloryIsANeighbour: she tries many names from the address of alice. Who signed
// in there before does not notice.
func TestMalloryIsANeighbour(t *testing.T) {
	t.Parallel()
	bothGates(t, "lockout: {failures: 1, delay: 0}\n", func(t *testing.T, s *testserver.Server) {
		t.Helper()
		here := newClient(t, s, nil).comesFrom(t, "127.0.0.77")
		alice, bob := here.as("alice", "the password of alice"), here.as("bob", "the password of bob")
		alice.want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
		refused := 0
		for i := range 60 {
			if here.as(fmt.Sprint("name", i), "123456").status(t) == http.StatusTooManyRequests {
				refused++
			}
			if got := alice.status(t); got != http.StatusOK {
				t.Fatalf("alice gets %d beside guess %d", got, i)
			}
		}
		if refused == 0 {
			t.Error("nobody was slowed down")
		}
		// Somebody new gets in when it is their turn.
		bob.soon(t, http.StatusOK)
		bob.comesFrom(t, "127.0.0.78").want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
	})
}

// TestTheClockDoesNotTell compares how long the same server takes to refuse people of
// a password file, of a directory, and nobody's: as multiples of the delay.
func TestTheClockDoesNotTell(t *testing.T) {
	t.Parallel()
	const delay, tries = time.Second, 4
	directory := ldaptest.Start(t)
	directory.AddPerson(t, ldaptest.People, "bob", "directory word 1")
	file := write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), fmt.Sprintf(`
login:
  - htpasswd: {file: %s}
  - ldap: {urls: "%s", ca: %s, bind_dn: "%s", password_file: %s, users: {base: "%s"}, timeout: 30s}
lockout: {delay: %s, failures: 100}
`, usersFile(t, "file word 3"), directory.TLSURL, directory.CA, ldaptest.Searcher, directory.PasswordFile, ldaptest.People, delay))
	s := testserver.Start(t, "--config", file)
	anybody := newClient(t, s, nil)
	anybody.as("bob", "directory word 1").want(t, http.StatusOK, http.MethodGet, "/v2/", nil)
	users := []string{"alice", "bob", "nobody", "Alice", "bob*"}
	fastest := make([]time.Duration, len(users))
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, user := range users {
		all.Go(func() {
			for n := range tries {
				begun := time.Now()
				a, err := anybody.as(user, fmt.Sprint("wrong ", n)).try(t.Context(), http.MethodGet, "/v2/", nil)
				took := time.Since(begun)
				if err != nil || a.status != http.StatusUnauthorized {
					t.Errorf("%q: status %d, %v", user, a.status, err)
				}
				mu.Lock()
				if fastest[i] == 0 || took < fastest[i] {
					fastest[i] = took
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for i, user := range users {
		if fastest[i] < delay || fastest[i] > delay+delay/2 { // the rest is the noise of the machine
			t.Errorf("%q was refused after %s at best, want %s", user, fastest[i], delay)
		}
	}
}

// TestKeysAsTokensAreCounted: as those of the source of keys, and a token whose key is
// gone is no success.
func TestKeysAsTokensAreCounted(t *testing.T) {
	t.Parallel()
	s := start(t, probed, "--htpasswd", passwordFile(t, "alice"))
	k := keysOf(t, s)
	robot, made := k.robot("ci", "pull:**")
	bearer := []string{"Authorization", "Bearer " + made.Secret}
	token := robot.trade(t, "repository:x:pull")
	k.c.want(t, http.StatusOK, http.MethodGet, "/v2/", nil, bearer...)
	k.c.want(t, http.StatusOK, http.MethodGet, "/v2/", nil, token...)
	k.revoke(made.ID)
	k.c.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil, bearer...)
	k.c.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil, token...)
	for name, want := range map[string]float64{
		`moorgate_logins_total{by="token",outcome="ok",source="key"}`:      1,
		`moorgate_logins_total{by="token",outcome="unknown",source="key"}`: 1,
		`moorgate_logins_total{by="token",outcome="ok",source="own"}`:      1,
		`moorgate_logins_total{by="token",outcome="unknown",source="own"}`: 1,
	} {
		if got := metric(t, s, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
