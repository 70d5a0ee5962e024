package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/programtest"
)

func TestProbeTriesPrograms(t *testing.T) {
	t.Parallel()
	users := programtest.NewUsers(t, map[string]string{"alice": "secret"})
	service := programtest.Start(t, users)
	command := programtest.Command(t, users)
	another := filepath.Join(t.TempDir(), "another.secret")
	if err := os.WriteFile(another, []byte(programtest.NewSecret()), 0o600); err != nil {
		t.Fatal(err)
	}
	yes := filepath.Join(t.TempDir(), "yes")
	programtest.Write(t, yes, []byte("#!/bin/sh\nread -r q\nuser=${q#*'\"user\":\"'}\necho '{\"result\":\"ok\",\"user\":\"'\"${user%%'\"'*}\"'\"}'\n"))
	exec := func(command ...string) string {
		return fmt.Sprintf("  - exec: {command: [\"%s\"], timeout: 30s}\n", strings.Join(command, `", "`))
	}
	webhook := func(url, ca, secret string) string {
		return fmt.Sprintf("  - webhook: {url: \"%s\", ca: \"%s\", secret_file: \"%s\", timeout: 30s}\n", url, ca, secret)
	}
	for name, tt := range map[string]struct {
		login string
		code  int
		want  []string
	}{
		"good": {exec(command...) + webhook(service.URL, service.CA, service.SecretFile), 0, []string{
			"login exec: ok: " + command[0] + ": 1 users\n", "login webhook: ok: " + service.URL + ": 1 users\n",
		}},
		"not there": {exec("/no/such/program") + webhook(service.URL, service.CA, service.SecretFile), 1, []string{
			"login exec: failed: login exec: there is no program /no/such/program (command)\n", "login webhook: ok: ",
		}},
		"ends with an error":    {exec(command[0], "-users", "/no/such/file"), 1, []string{"exit status 1: whatever it has to say, it ends with 0: login-program: open /no/such/file"}},
		"lets everybody in":     {exec(yes), 1, []string{"it has to compare passwords"}},
		"another secret":        {webhook(service.URL, service.CA, another), 1, []string{"it answers 401 Unauthorized: look whether it has the secret of secret_file"}},
		"an unknown authority":  {webhook(service.URL, "", service.SecretFile), 1, []string{"name its authority in ca"}},
		"no file with a secret": {webhook(service.URL, service.CA, "/no/such/file"), 1, []string{"the secret (secret_file): open /no/such/file"}},
	} {
		code, output := probe(t, tt.login)
		for _, want := range tt.want {
			if code != tt.code || !strings.Contains(output, want) {
				t.Errorf("%s: exit code %d, want %d and %q in:\n%s", name, code, tt.code, want, output)
			}
		}
	}
}
