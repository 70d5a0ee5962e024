package app_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

var answeringProbes = regexp.MustCompile(`msg="answering probes" url=(http://\S+)/readyz`)

// probes returns a client of the address for probes.
func probes(t *testing.T, s *testserver.Server) *client {
	t.Helper()
	m := answeringProbes.FindStringSubmatch(s.Log())
	if m == nil {
		t.Fatalf("no address for probes is logged:\n%s", s.Log())
	}
	c := newClient(t, s, nil)
	c.url = m[1]
	return c
}

// health returns the status and the error that a probe shows.
func (c *client) health(t *testing.T, path string) (int, string) {
	t.Helper()
	a := c.do(t, http.MethodGet, path, nil)
	var reply struct{ Status, Error string }
	if err := json.Unmarshal(a.body, &reply); err != nil || reply.Status == "" {
		t.Fatalf("%s: %v: %s", path, err, a.body)
	}
	return a.status, reply.Error
}

const probed = "health: {listen: 127.0.0.1:0}\n"

func TestProbesHaveAnAddressOfTheirOwn(t *testing.T) {
	t.Parallel()
	bothGates(t, probed, func(t *testing.T, s *testserver.Server) {
		t.Helper()
		probe := probes(t, s)
		if a := probe.want(t, http.StatusOK, http.MethodGet, "/metrics", nil); !strings.Contains(string(a.body), "\nprocess_open_fds ") {
			t.Errorf("metrics:\n%s", a.body)
		}
		newClient(t, s, nil).as("alice", "the password of alice").want(t, http.StatusNotFound, http.MethodGet, "/metrics", nil)
		for _, path := range []string{"/livez", "/readyz"} {
			if status, message := probe.health(t, path); status != http.StatusOK || message != "" {
				t.Errorf("%s: %d %s", path, status, message)
			}
			newClient(t, s, nil).as("alice", "the password of alice").want(t, http.StatusNotFound, http.MethodGet, path, nil)
		}
		probe.want(t, http.StatusMethodNotAllowed, http.MethodPost, "/readyz", strings.NewReader("x"))
		for _, path := range []string{"/v2/", "/token", "/", "/metrics/x"} {
			probe.want(t, http.StatusNotFound, http.MethodGet, path, nil)
		}
	})
}

func TestATokenServerIsReady(t *testing.T) {
	t.Parallel()
	config := probed + "token: {services: [{name: registry}]}\n"
	s := testserver.StartAs(t, "token", withConfig(t, config, []string{"--htpasswd", passwordFile(t, "alice")})...)
	if status, message := probes(t, s).health(t, "/readyz"); status != http.StatusOK {
		t.Errorf("%d %s", status, message)
	}
}

// A gateway without its registry is alive, and not ready; with it again, it is.
func TestAGatewayIsAsReadyAsItsRegistry(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	behind := testserver.Start(t, "--open", "--data", data)
	s := gateway(t, withConfig(t, probed, []string{"--open", "--upstream", behind.URL})...)
	probe := probes(t, s)
	if status, message := probe.health(t, "/readyz"); status != http.StatusOK {
		t.Fatalf("%d %s", status, message)
	}
	if err := behind.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway to be not ready", func() bool { // an answer of the registry counts for a while
		status, message := probe.health(t, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(message, behind.Addr)
	})
	if status, message := probe.health(t, "/livez"); status != http.StatusOK {
		t.Errorf("without the registry it is dead: %d %s", status, message)
	}
	testserver.Start(t, "--open", "--data", data, "--listen", behind.Addr)
	eventually(t, "the gateway to be ready again", func() bool {
		status, _ := probe.health(t, "/readyz")
		return status == http.StatusOK
	})
	for _, line := range []string{`level=WARN msg="not ready"`, `level=INFO msg="ready again"`} {
		logged(t, s, line)
		if n := strings.Count(s.Log(), line); n != 1 {
			t.Errorf("%d log lines with %s, want one", n, line)
		}
	}
}

func TestAnAddressForProbesThatIsTaken(t *testing.T) {
	t.Parallel()
	other := start(t, "")
	s, err := testserver.TryStart(t, withConfig(t, "health: {listen: "+other.Addr+"}\n", nil)...)
	if err == nil || !strings.Contains(s.Log(), "cannot listen on "+other.Addr+" for probes (health.listen)") {
		t.Errorf("%v\n%s", err, s.Log())
	}
}

// Probes do not wait for those that do not answer.
func TestAProbeEnds(t *testing.T) {
	t.Parallel()
	silent := silence(t)
	s := gateway(t, withConfig(t, probed, []string{"--open", "--upstream", "http://" + silent})...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	a, err := probes(t, s).try(ctx, http.MethodGet, "/readyz", nil)
	if err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s: %v", a.status, a.body, err)
	}
}

// silence returns an address that takes connections and never answers.
func silence(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}
