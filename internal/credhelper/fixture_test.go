package credhelper_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/credhelper"
	"github.com/moorgate/moorgate/internal/keyring"
	"github.com/moorgate/moorgate/internal/testserver"
)

// rig is a registry, and the helper of somebody who uses it.
type rig struct {
	*credhelper.Helper
	server   *testserver.Server
	users    string // the password file of the server
	password string // of alice
	aside    bytes.Buffer

	mu    sync.Mutex
	later time.Duration // how much the clock of the helper is ahead
}

// audited has the registry tell all that it can, which is searched for secrets.
const audited = "log: {level: debug}\naudit: {stdout: true, pulls: true}\n"

// newRig runs a registry with more lines in its configuration.
func newRig(t *testing.T, config string) *rig {
	t.Helper()
	r := &rig{users: filepath.Join(t.TempDir(), "users"), password: rand.Text()}
	r.setPassword(t, r.password)
	file := filepath.Join(t.TempDir(), "moorgate.yaml")
	if err := os.WriteFile(file, []byte(audited+config), 0o600); err != nil {
		t.Fatal(err)
	}
	r.server = testserver.Start(t, "--config", file, "--htpasswd", r.users)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the registry:\n%s", r.server.Log())
		}
	})
	r.Helper = &credhelper.Helper{Keyring: keyring.Keyring{Dir: filepath.Join(t.TempDir(), "a", "b")}, Now: r.now, Aside: &r.aside}
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.later)
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.later += d
}

func (r *rig) setPassword(t *testing.T, password string) {
	t.Helper()
	testserver.Secret(password)
	hash, err := htpasswd.Hash(password, htpasswd.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := htpasswd.Set(r.users, "alice", hash); err != nil {
		t.Fatal(err)
	}
}

// serve asks the helper as docker does.
func (r *rig) serve(t *testing.T, action, input string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := r.Serve(t.Context(), []string{action}, strings.NewReader(input), &out)
	return out.String(), err
}

// store is what docker login does at its end.
func (r *rig) store(t *testing.T, address, user, secret string) error {
	t.Helper()
	text, err := json.Marshal(map[string]string{"ServerURL": address, "Username": user, "Secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.serve(t, "store", string(text))
	if out != "" {
		t.Errorf("store says %q", out)
	}
	return err
}

// credential is what the helper hands out.
type credential struct{ ServerURL, Username, Secret string }

func (r *rig) get(t *testing.T, address string) (c credential, err error) {
	t.Helper()
	out, err := r.serve(t, "get", address)
	if err == nil {
		err = json.Unmarshal([]byte(out), &c)
	}
	return c, err
}

// mustGet is get where there must be something.
func (r *rig) mustGet(t *testing.T) credential {
	t.Helper()
	c, err := r.get(t, r.server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// status is what the registry answers to a name and a secret.
func (r *rig) status(t *testing.T, user, secret string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.server.URL+"/v2/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	testserver.Secret(secret)
	req.SetBasicAuth(user, secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// file returns the path of what is kept for the registry.
func (r *rig) file() string {
	return filepath.Join(r.Keyring.Dir, r.server.Addr, "credential.json")
}

func (r *rig) kept(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(r.file())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
