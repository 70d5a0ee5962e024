package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// TestConformance runs the suite with every switch on. Nothing may fail, be
// skipped or be disabled.
func TestConformance(t *testing.T) {
	t.Parallel()
	program := buildSuite(t)
	wirings := []struct {
		name  string
		role  string // "" for serve
		start func(t *testing.T) (flags []string, settings map[string]string)
		// What this wiring has off: switches of the suite, and rows in its tables.
		off, disabled []string
		url           string // start of the addresses that the suite must have used
		login         string // the challenge by which it must have been asked to sign in; "" for none
	}{
		{name: "open registry over HTTP", start: openRegistry, url: "URL: http://"},
		{name: "login required over TLS", start: loginOverTLS, url: "URL: https://", login: "Basic"},
		{
			name: "default configuration", start: defaultConfiguration, url: "URL: http://",
			off: []string{"data.sparse"}, disabled: []string{"Sparse Manifests"},
		},
		{name: "a user with two repositories, by password", start: twoRepositories("basic"), url: "URL: https://", login: "Basic"},
		{name: "a user with two repositories, by token", start: twoRepositories("bearer"), url: "URL: https://", login: "Bearer"},
		{name: "gateway, by password", role: "proxy", start: gateway("basic"), url: "URL: https://", login: "Basic"},
		{name: "gateway, by token", role: "proxy", start: gateway("bearer"), url: "URL: https://", login: "Bearer"},
	}
	for _, w := range wirings {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			flags, settings := w.start(t)
			if w.role == "" {
				w.role = "serve"
			}
			server := testserver.StartAs(t, w.role, flags...)
			settings["OCI_REGISTRY"] = server.Addr
			o := runSuite(t, program, filepath.Base(t.Name()), settings)
			t.Logf("%s: %s", w.name, o)
			report(t, o, o.problems(w.off, w.disabled))
			if !o.saw(w.url) || o.saw("Status: 401") != (w.login != "") {
				t.Errorf("the suite saw %q: %t, and a 401: %t, want true and %t", w.url, o.saw(w.url), o.saw("Status: 401"), w.login != "")
			}
			for _, challenge := range []string{"Basic", "Bearer"} {
				if seen := o.saw("Www-Authenticate: [" + challenge + " "); seen != (w.login == challenge) {
					t.Errorf("the suite was asked by %s: %t, and it should have been by %q", challenge, seen, w.login)
				}
			}
			if t.Failed() {
				t.Logf("last lines of the server's log:\n%s", tail(server.Log(), 30))
			}
		})
	}
}

// openRegistry asks for no login and accepts manifests whose blobs are missing.
func openRegistry(t *testing.T) ([]string, map[string]string) {
	return []string{"--open", "--config", sparseConfig(t)}, map[string]string{"OCI_TLS": "disabled"}
}

// defaultConfiguration is what a user gets without a configuration file, which
// refuses manifests whose blobs are missing.
func defaultConfiguration(*testing.T) ([]string, map[string]string) {
	return []string{"--open"}, map[string]string{"OCI_TLS": "disabled", "OCI_DATA_SPARSE": "false"}
}

// loginOverTLS is a registry as "moorgate cert" and "moorgate passwd" set it up.
func loginOverTLS(t *testing.T) ([]string, map[string]string) {
	const user, password = "alice", "correct horse battery staple"
	testserver.Secret(password)
	dir := t.TempDir()
	users := filepath.Join(dir, "registry.password")
	moorgate(t, "", "cert", "create", "--host", "127.0.0.1", "--out", dir)
	moorgate(t, password+"\n", "passwd", "add", users, user)
	flags := []string{
		"--tls-cert", filepath.Join(dir, "domain.crt"), "--tls-key", filepath.Join(dir, "domain.key"),
		"--htpasswd", users, "--config", sparseConfig(t),
	}
	settings := map[string]string{
		"OCI_TLS": "enabled", "OCI_USERNAME": user, "OCI_PASSWORD": password,
		"SSL_CERT_FILE": filepath.Join(dir, "ca.crt"),
	}
	return flags, settings
}

// rules let alice do what the suite does in its two repositories, and nobody
// anything else.
const rules = `
access:
  rules:
    - {who: "user:alice", may: [pull, push, delete], repos: [conformance/repo1, conformance/repo2]}
`

// twoRepositories is loginOverTLS for a user who may do nothing but that.
func twoRepositories(challenge string) func(t *testing.T) ([]string, map[string]string) {
	return func(t *testing.T) ([]string, map[string]string) {
		flags, settings := loginOverTLS(t)
		flags[slices.Index(flags, "--config")+1] = configFile(t, "registry: {sparse: true}\ntoken: {challenge: "+challenge+"}\n"+rules)
		return flags, settings
	}
}

// gateway is twoRepositories at a gateway, in front of an open registry.
func gateway(challenge string) func(t *testing.T) ([]string, map[string]string) {
	return func(t *testing.T) ([]string, map[string]string) {
		behind := testserver.Start(t, "--open", "--config", sparseConfig(t))
		flags, settings := loginOverTLS(t)
		flags[slices.Index(flags, "--config")+1] = configFile(t, "token: {challenge: "+challenge+"}\n"+rules)
		return append(flags, "--upstream", behind.URL), settings
	}
}

func sparseConfig(t *testing.T) string {
	t.Helper()
	return configFile(t, "registry:\n  sparse: true\n")
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "moorgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// moorgate runs one command of the program under test.
func moorgate(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testserver.Binary(t), args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("moorgate %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// maxReported bounds what one broken thing prints, when it breaks every test.
const maxReported = 10

func report(t *testing.T, o *outcome, problems []string) {
	t.Helper()
	if len(problems) == 0 {
		return
	}
	t.Errorf("not a full pass:\n  %s", strings.Join(problems, "\n  "))
	failures := o.failures()
	for i, f := range failures {
		if i == maxReported {
			t.Logf("and %d more; the whole report: conformance/results/%s/report.html",
				len(failures)-i, filepath.Base(t.Name()))
			break
		}
		t.Logf("%s: %s\n%s\n%s", f.Status, f.Name, f.Errors, tail(f.HTTP, 40))
	}
}

// tail returns the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
