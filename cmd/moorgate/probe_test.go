package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/ldaptest"
	"github.com/moorgate/moorgate/internal/authn/oidctest"
)

// probe runs "moorgate check --probe" on a file with these sources.
func probe(t *testing.T, login string) (code int, output string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "moorgate.yaml")
	if err := os.WriteFile(file, []byte("login:\n"+login), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	code = run([]string{"check", "--probe", file}, strings.NewReader(""), &out, &errOut)
	if errOut.Len() > 0 {
		t.Errorf("on standard error: %s", errOut.String())
	}
	return code, out.String()
}

func TestProbeTriesIssuers(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	issuer := func(name, url, ca string) string {
		return fmt.Sprintf("  - name: %s\n    oidc: {issuer: \"%s\", ca: %s, audience: registry.example, require: claims.owner == 'acme'}\n", name, url, ca)
	}
	code, output := probe(t, issuer("ci", p.Issuer, p.CA))
	if want := "login ci: ok: " + p.Issuer + ": 1 keys at " + p.Issuer + "/keys\n"; code != 0 || !strings.Contains(output, want) {
		t.Errorf("exit code %d, want 0 and %q in:\n%s", code, want, output)
	}
	other := strings.Replace(p.Issuer, "127.0.0.1", "localhost", 1)
	code, output = probe(t, issuer("ci", p.Issuer, p.CA)+issuer("wrong", other, p.CA)+issuer("nowhere", p.Issuer+"/x", p.CA))
	for _, want := range []string{"login ci: ok: ", "login wrong: failed: ", "is about the issuer \"" + p.Issuer, "login nowhere: failed: ", "answers 404"} {
		if code != 1 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, want 1 and %q in:\n%s", code, want, output)
		}
	}
}

func TestProbeTriesEachSource(t *testing.T) {
	t.Parallel()
	s := ldaptest.Start(t)
	users := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(users, []byte("alice:$2y$04$tNRFFtV3Wsc3AkL2Z0hFKOdXK8j7s3zE9Y0cUHqKkEHnJ1ZJcGKzW\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	directory := func(password string) string {
		return fmt.Sprintf("  - ldap:\n      urls: %s\n      ca: %s\n      bind_dn: %s\n      password_file: %s\n      users: {base: \"%s\"}\n",
			s.TLSURL, s.CA, ldaptest.Searcher, password, ldaptest.People)
	}
	file := "  - htpasswd: {file: " + users + "}\n"
	code, output := probe(t, directory(s.PasswordFile)+file)
	for _, want := range []string{"login ldap: ok: " + s.TLSURL + ": signed in as " + ldaptest.Searcher + "\n", "login htpasswd: ok: 1 users in " + users + "\n"} {
		if code != 0 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, want 0 and %q in:\n%s", code, want, output)
		}
	}
	code, output = probe(t, directory(s.CA)+file)
	for _, want := range []string{"login ldap: failed: ", "look whether it and password_file are right", "login htpasswd: ok: "} {
		if code != 1 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, want 1 and %q in:\n%s", code, want, output)
		}
	}
}

func TestProbeTriesTheAudit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(users, []byte("alice:$2y$04$tNRFFtV3Wsc3AkL2Z0hFKOdXK8j7s3zE9Y0cUHqKkEHnJ1ZJcGKzW\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := "  - htpasswd: {file: " + users + "}\n"
	file := filepath.Join(dir, "log", "audit.log")
	code, output := probe(t, login+"audit: {file: {path: "+file+"}, syslog: {address: 'udp://127.0.0.1:514'}}\n")
	for _, want := range []string{"login htpasswd: ok: ", "audit file: ok: it can be made in " + filepath.Dir(file) + "\n", "audit syslog: ok: messages go to 127.0.0.1:514"} {
		if code != 0 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, want 0 and %q in:\n%s", code, want, output)
		}
	}
	code, output = probe(t, login+"audit: {file: {path: "+dir+"}, syslog: {address: 'unix://"+dir+"/none'}}\n")
	for _, want := range []string{"login htpasswd: ok: ", "audit file: failed: cannot write the audit: " + dir + " is no regular file\n", "audit syslog: failed: cannot reach the syslog server: "} {
		if code != 1 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, want 1 and %q in:\n%s", code, want, output)
		}
	}
}
