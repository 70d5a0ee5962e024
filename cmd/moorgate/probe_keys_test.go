package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/app"
	"github.com/moorgate/moorgate/internal/authn/certtest"
	"github.com/moorgate/moorgate/internal/authn/oidctest"
)

const oneUser = "alice:$2y$04$tNRFFtV3Wsc3AkL2Z0hFKOdXK8j7s3zE9Y0cUHqKkEHnJ1ZJcGKzW\n"

// probeFile runs "moorgate check --probe" on a file with this text, as JSON too, and
// returns what it says of the logins.
func probeFile(t *testing.T, text string) (code int, output string, findings []app.Finding) {
	t.Helper()
	file := certtest.Write(t, filepath.Join(t.TempDir(), "moorgate.yaml"), text)
	var out, errOut, asJSON bytes.Buffer
	code = run([]string{"check", "--probe", file}, strings.NewReader(""), &out, &errOut)
	again := run([]string{"check", "--probe", "--json", file}, strings.NewReader(""), &asJSON, &errOut)
	var answer struct {
		Login []app.Finding `json:"login"`
	}
	if err := json.Unmarshal(asJSON.Bytes(), &answer); err != nil || errOut.Len() > 0 || code != again {
		t.Errorf("exit codes %d and %d: %v, %s", code, again, err, errOut.String())
	}
	return code, out.String(), answer.Login
}

// What a server has that does not run is not tried, and no mistake; the password file
// of the first start is, once it is there.
func TestProbeWithoutSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users := filepath.Join(dir, "users", "htpasswd")
	if err := os.Mkdir(filepath.Dir(users), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		users, text string
		code        int
		want        string
	}{
		"before the first start": {"", "", 0, "login htpasswd: not tried: " + users + " is made at the first start, with a first user\n"},
		"after it":               {oneUser, "", 0, "login htpasswd: ok: 1 users in " + users + "\n"},
		"a file that is bad":     {"alice\n", "", 1, "login htpasswd: failed: "},
		"an open registry":       {oneUser, "open: true\n", 0, ""},
	} {
		_ = os.Remove(users) // it may not be there
		if tt.users != "" {
			certtest.Write(t, users, tt.users)
		}
		code, output, findings := probeFile(t, "data: "+dir+"\n"+tt.text)
		if code != tt.code || !strings.Contains(output, tt.want) {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", name, code, tt.code, tt.want, output)
		}
		if tt.want == "" {
			if len(findings) > 0 || strings.Contains(output, "login") {
				t.Errorf("%s: %+v in:\n%s", name, findings, output)
			}
			continue
		}
		keys := app.Finding{Source: "key", NotTried: "no server runs on " + dir + ", which could count them"}
		if len(findings) != 2 || findings[1] != keys || !strings.Contains(output, "login key: not tried: "+keys.NotTried+"\n") {
			t.Errorf("%s: %+v in:\n%s", name, findings, output)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "token")); err == nil {
		t.Error("it has made keys")
	}
}

// A server that cannot be asked is not passed over in silence.
func TestProbeSaysWhyKeysCannotBeCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	_ = server.Listener.Close() // of a port that is not needed
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	users := certtest.Write(t, filepath.Join(dir, "users"), oneUser)
	code, output, _ := probeFile(t, "data: "+dir+"\nlogin: [{htpasswd: {file: "+users+"}}]\n")
	if want := "login key: not tried: the server answered 404 Not Found: is it of another version than this program?\n"; code != 0 || !strings.Contains(output, want) {
		t.Errorf("exit code %d, want 0 and %q in:\n%s", code, want, output)
	}
}

// The keys of token servers of others are looked at, and their clocks.
func TestProbeTriesTokenServers(t *testing.T) {
	t.Parallel()
	p, dir := oidctest.Start(t), t.TempDir()
	file := certtest.Write(t, filepath.Join(dir, "keys.pem"), certtest.NewAuthority(t, "Tokens").PEM())
	accept := func(name, keys string) string {
		return "    - {name: " + name + ", issuer: " + name + ".example, service: us, " + keys + "}\n"
	}
	good := "data: " + dir + "\ntoken:\n  accept:\n" + accept("filed", "keys_file: "+file) + accept("asked", "keys_url: '"+p.Issuer+"/keys', ca: "+p.CA)
	code, output, findings := probeFile(t, good)
	for _, want := range []string{"login filed: ok: filed.example: keys in " + file + "\n", "login asked: ok: asked.example: 1 keys at " + p.Issuer + "/keys\n"} {
		if code != 0 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, want 0 and %q in:\n%s", code, want, output)
		}
	}
	if len(findings) != 2 { // nobody signs in here, so there are no keys of ours
		t.Errorf("%+v", findings)
	}
	code, output, _ = probeFile(t, good+accept("nowhere", "keys_url: '"+p.Issuer+"/nowhere', ca: "+p.CA)+accept("unfiled", "keys_file: "+p.CA+".none"))
	for _, want := range []string{"login filed: ok: ", "login asked: ok: ", "login nowhere: failed: token.accept: ", "answers 404", "login unfiled: failed: token.accept unfiled: ", "no such file"} {
		if code != 1 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, want 1 and %q in:\n%s", code, want, output)
		}
	}
}
