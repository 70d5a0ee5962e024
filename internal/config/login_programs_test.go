package config_test

import (
	"testing"

	"github.com/moorgate/moorgate/internal/config"
)

func TestValidateReportsLoginPrograms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		want []string // beginnings
	}{
		"one word for the program": {"login: [{exec: {command: /usr/local/bin/login}}]\n", nil},
		"groups that only they know": {
			"login: [{exec: {command: /bin/login}}]\naccess: {rules: [{who: \"group:developers\", may: pull, repos: \"**\"}]}\n", nil,
		},
		"a command line": {
			"login:\n  - exec:\n      command: moorgate-login --fast\n      env: [LANG=C]\n      timeout: 2m\n",
			[]string{
				`line 3: login[0].exec.command: "moorgate-login --fast" is not the whole path of a program`,
				`line 4: login[0].exec.env[0]: "LANG=C" is not the name of a variable`,
				"line 5: login[0].exec.timeout: 2m0s is not between 100ms and 1m0s",
			},
		},
		"a service in plain": {
			"login:\n  - webhook:\n      url: http://login.example.com\n      secret_file: s\n      retries: 100\n",
			[]string{"line 3: login[0].webhook.url: passwords would be sent to login.example.com for others to read", "line 5: login[0].webhook.retries: 100 is not between"},
		},
		"a service without a secret": {
			"login: [{webhook: {url: \"https://login.example.com\"}}]\n", []string{"line 1: login[0].webhook.secret_file: name a file with the secret"},
		},
		"two in one entry": {
			"login: [{exec: {command: /bin/a}, webhook: {url: \"https://a\", secret_file: s}}]\n",
			[]string{"line 1: login[0]: one source each: make exec and webhook entries of their own"},
		},
		"two of a kind": {
			"login: [{exec: {command: /bin/a}}, {exec: {command: /bin/b}}]\n", []string{`line 1: login[1].name: there is another source with the name "exec"`},
		},
		"a misspelt key": {"login: [{webhook: {url: \"https://a\", secret: s}}]\n", []string{"line 1: login[0].webhook.secret: no such key; known here: url, secret_file"}},
	} {
		_, problems := config.Parse([]byte(c.file), "")
		if diff := begins(problems, c.want); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
