package e2e

import (
	"encoding/base64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// TestMain looks, after all tests, for every password and token that they have used
// in all that the servers have written: their logs and audits, and the logs of those
// that were typed from pages.
func TestMain(m *testing.M) {
	testserver.Secret(wrongPassword)
	os.Exit(testserver.Main(m))
}

// audited is a configuration that adds to the log what it can tell, and the audit.
const audited = "log: {level: debug}\naudit: {stdout: true, pulls: true}\n"

// learn notes what a command of a client was given as a password, and what the
// clients of a machine keep as credentials.
func (m *machine) learn(t *testing.T, in io.Reader, command string) {
	t.Helper()
	if !strings.Contains(command, "login") && !strings.Contains(command, "passwd") {
		return
	}
	if text, ok := in.(*strings.Reader); ok {
		all := make([]byte, text.Size())
		_, _ = text.ReadAt(all, 0) // it never fails
		testserver.Secret(string(all))
	}
	learnStores(t, m.home)
}

// learnStores notes what clients keep as credentials in a home directory.
func learnStores(t *testing.T, home string) {
	t.Helper()
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".json" {
			return nil //nolint:nilerr // what goes meanwhile is no store of credentials
		}
		text, err := os.ReadFile(path)
		if err == nil {
			testserver.Secret(credentials(text)...)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// kept finds secrets where clients keep them: docker, podman, skopeo, crane, oras and
// helm in one form, regctl and our helper in others.
var kept = regexp.MustCompile(`"(auth|identitytoken|registrytoken|password|pass|token|secret)"\s*:\s*"([^"]+)"`)

// credentials returns the secrets of a store: what stands in it, and the password in
// it.
func credentials(store []byte) (secrets []string) {
	for _, m := range kept.FindAllSubmatch(store, -1) {
		secrets = append(secrets, string(m[2]))
		if pair, err := base64.StdEncoding.DecodeString(string(m[2])); err == nil && string(m[1]) == "auth" {
			_, password, _ := strings.Cut(string(pair), ":")
			secrets = append(secrets, strings.Trim(password, "\x00"))
		}
	}
	return secrets
}

// The stores of clients are read right: else nothing would be looked for.
func TestCredentialsOfClientsAreFound(t *testing.T) {
	t.Parallel()
	got := credentials([]byte(`{"auths": {"r": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("alice:the password")) + `", "identitytoken": "mgr_x"}},
		"hosts": {"r": {"user": "alice", "pass": "another"}}}`))
	want := []string{base64.StdEncoding.EncodeToString([]byte("alice:the password")), "the password", "mgr_x", "another"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q, want %q", got, want)
	}
}
