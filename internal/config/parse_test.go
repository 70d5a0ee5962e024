package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/upstream"
)

func TestParseReadsEverythingOverTheDefaults(t *testing.T) {
	t.Parallel()
	got, problems := config.Parse([]byte(`# a private registry
listen: ":5043"
url: https://registry.example.com
data: /var/lib/moorgate
tls: {cert: domain.crt, key: domain.key}
login:
  - htpasswd: {file: registry.password}
  - name: second
    htpasswd:
      file: second.password
access:
  groups:
    team.one: [alice, "bob"]
    "two": carol
  rules:
    - {who: anonymous, may: pull, repos: public/**}
    - who: [group:team.one, "group:two"]
      deny: [push, delete]
      repos: ["**"]
      tags: v*
      when: >
        request.tls
      unless: tag == "1"
      because: 2026
token:
  issuer: auth
  ttl: 1m
  refresh_ttl: 0
  services:
    - name: a
    - {name: b, keys: jwks}
  accept:
    - {issuer: i, service: s, keys_file: k}
    - {name: corp, issuer: i, service: s, keys_url: "https://auth/jwks", refresh: 1h}
upstreams:
  - {url: "http://registry:5000", timeout: 1m, realms: auth.example.com}
  - {prefix: team, url: "unix:/run/r.sock", pass_credentials: true}
trusted_proxies: 10.1.2.3/8
registry: {sparse: true, delete: false, free_after: 36h}
limits:
  idle_timeout: 90s
  uploads_per_user: 1_000
health: {listen: 127.0.0.1:5001}
log: {level: warn, format: json, access: false}
`), config.Proxy)
	if err := config.Problems("", problems); err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Listen, want.URL, want.Data = ":5043", "https://registry.example.com", "/var/lib/moorgate"
	want.TLS = config.TLS{Cert: "domain.crt", Key: "domain.key"}
	want.Login = []config.Login{
		{Htpasswd: &config.Htpasswd{File: "registry.password"}},
		{Name: "second", Htpasswd: &config.Htpasswd{File: "second.password"}},
	}
	want.Access = &access.Rules{
		Groups: map[string][]string{"team.one": {"alice", "bob"}, "two": {"carol"}},
		Rules: []access.Rule{
			{Who: []string{"anonymous"}, May: []string{"pull"}, Repos: []string{"public/**"}},
			{
				Who: []string{"group:team.one", "group:two"}, Deny: []string{"push", "delete"}, Repos: []string{"**"},
				Tags: []string{"v*"}, When: "request.tls\n", Unless: `tag == "1"`, Because: "2026",
			},
		},
	}
	want.Token.Issuer, want.Token.TTL, want.Token.RefreshTTL = "auth", time.Minute, 0
	want.Token.Services = []config.Service{{Name: "a", Keys: "certificate"}, {Name: "b", Keys: "jwks"}}
	want.Token.Accept = []config.Accept{
		{Issuer: "i", Service: "s", KeysFile: "k", Refresh: 10 * time.Minute},
		{Name: "corp", Issuer: "i", Service: "s", KeysURL: "https://auth/jwks", Refresh: time.Hour},
	}
	want.Upstreams = []config.Upstream{
		{Config: upstream.Config{URL: "http://registry:5000", Timeout: time.Minute, Realms: []string{"auth.example.com"}}},
		{Prefix: "team", Config: upstream.Config{URL: "unix:/run/r.sock", PassCredentials: true}},
	}
	want.Registry = config.Registry{Sparse: true, FreeAfter: 36 * time.Hour}
	want.Limits.IdleTimeout, want.Limits.UploadsPerUser = 90*time.Second, 1000
	want.Health.Listen = "127.0.0.1:5001"
	want.Log = config.Log{Level: "warn", Format: "json"}
	if proxies := got.Proxies(); len(proxies) != 1 || proxies[0].String() != "10.0.0.0/8" {
		t.Errorf("trusted proxies: %v", proxies)
	}
	got.TrustedProxies = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSourcesAreNamedByTheirKind(t *testing.T) {
	t.Parallel()
	if got := (config.Login{Htpasswd: &config.Htpasswd{}}).Source(); got != "htpasswd" {
		t.Errorf("htpasswd: %q", got)
	}
	if got := (config.Login{Name: "staff", Htpasswd: &config.Htpasswd{}}).Source(); got != "staff" {
		t.Errorf("staff: %q", got)
	}
	if got := (config.Accept{}).Source(); got != "token" {
		t.Errorf("token: %q", got)
	}
	if got := (config.Accept{Name: "corp"}).Source(); got != "corp" {
		t.Errorf("corp: %q", got)
	}
}

// begins compares problems with the beginnings that are wanted.
func begins(problems []config.Problem, want []string) string {
	var got []string
	for i, p := range problems {
		s := p.String()
		if i < len(want) && strings.HasPrefix(s, want[i]) {
			s = want[i]
		}
		got = append(got, s)
	}
	return cmp.Diff(want, got)
}

func TestParseReportsAllMistakesWithLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		want []string // beginnings
	}{
		"unknown keys": {
			"lisen: x\ntls:\n  crt: y\nlog:\n  level: info\n  colour: red\n",
			[]string{"line 1: lisen: no such key", "line 3: tls.crt: no such key; known here: cert, key", "line 6: log.colour: no such key"},
		},
		"keys of an upstream": {
			"upstreams: [{uri: x}]\n",
			[]string{"line 1: upstreams[0].uri: no such key; known here: prefix, url, ca, username, realms, timeout, password_file, pass_credentials"},
		},
		"wrong types": {
			"listen: [1]\nregistry:\n  sparse: often\nlimits:\n  idle_timeout: soon\n  header_bytes: {}\nlogin: x\ntrusted_proxies:\n  - nowhere\ntls: !!str x\ndata: !!str x\n",
			[]string{
				"line 1: listen: has to be one value, not a list", `line 3: registry.sparse: "often" has to be true or false`,
				`line 5: limits.idle_timeout: "soon" is not a duration, such as 90s, 15m or 24h`, "line 6: limits.header_bytes: has to be one value, not a mapping",
				"line 7: login: is not a list", `line 9: trusted_proxies[0]: "nowhere" is no address`,
				"line 10: tls: is not a mapping", "line 11: data: has to be one value, not one with a tag",
			},
		},
		"what looks like an integer": {"limits: {header_bytes: 1.5}\n", []string{`line 1: limits.header_bytes: "1.5" is not a whole number`}},
		"rules commented out":        {"open: false\naccess:\n", []string{"line 2: access: is empty: write access: {} to allow nothing, or remove the key to let whoever is signed in do everything"}},
		"no list of rules":           {"access:\n  rules:\n", []string{"line 2: access.rules: is empty: write what it is to be, or remove the key"}},
		"a rule widened by nothing": {
			"access:\n  rules:\n    - who: \"*\"\n      may: pull\n      repos: a\n      tags:\n      when: \"\"\n    - {who: \"*\", may: pull, repos: b, tags: []}\n",
			[]string{
				"line 6: access.rules[0].tags: is empty: write what it is to be, or remove the key",
				"line 7: access.rules[0].when: is empty: write what it is to be, or remove the key",
				"line 8: access.rules[1].tags: is empty: write what it is to be, or remove the key",
			},
		},
		"nothing in a list":       {"trusted_proxies:\n  - 10.0.0.1\n  -\n", []string{"line 3: trusted_proxies[1]: is empty"}},
		"a group that is no list": {"access:\n  groups:\n    a: {b: c}\n  rules: []\n", []string{"line 3: access.groups.a: is not a list"}},
		"groups that are a list":  {"access:\n  groups: [a]\n  rules: []\n", []string{"line 2: access.groups: is not a mapping"}},
		"a group given twice":     {"access:\n  groups:\n    a: b\n    a: c\n  rules: {}\n", []string{"line 4: access.groups.a: given twice", "line 5: access.rules: is not a list"}},
		"bad values": {
			"listen: 127.0.0.1\ntls:\n  cert: a.crt\nlimits:\n  idle_timeout: 1ms\n  header_bytes: 1\nlog: {level: loud}\nlogin:\n  - htpasswd: {}\n  - {}\n",
			[]string{
				"line 1: listen: \"127.0.0.1\" is not host:port", "line 2: tls.key: missing", "line 9: login[0].htpasswd.file: name the password file",
				"line 10: login[1]: name an identity source", "line 5: limits.idle_timeout: 1ms is too short", "line 6: limits.header_bytes: ",
				`line 7: log.level: "loud" is not one of debug, info, warn, error`,
			},
		},
		"form and content together": {
			"lisen: x\nlimits:\n  idle_timout: 1s\n  header_bytes: 1\nlog: {level: [x], format: xml}\ntls: {crt: a, key: b}\nlogin:\n  - htpaswd: {file: x}\n  - htpasswd: {}\n",
			[]string{
				"line 1: lisen: no such key", "line 3: limits.idle_timout: no such key", "line 5: log.level: has to be one value",
				"line 6: tls.crt: no such key", "line 8: login[0].htpaswd: no such key",
				"line 9: login[1].htpasswd.file: name the password file", "line 4: limits.header_bytes: 1 is not", `line 5: log.format: "xml" is not`,
			},
		},
		"a key given twice, and more": {
			"data: a\nlog: {level: loud}\ndata: b\nopne: true\n",
			[]string{"line 3: data: given twice", "line 4: opne: no such key", "line 2: log.level: "},
		},
		"a bare star":              {"access:\n  rules:\n    - {who: *, may: pull}\n", []string{"line 3: syntax: unexpected scalar value type; a value that begins with * needs quotes"}},
		"an alias":                 {"data: &x a\nlisten: *x\n", []string{"line 2: listen: a value that begins with * needs quotes"}},
		"a merge":                  {"<<: {data: x}\n", []string{"line 1: <<: no such key"}},
		"open with login":          {"open: true\nlogin: [{htpasswd: {file: x}}]\n", []string{"line 1: open: an open registry asks for no login"}},
		"open with access":         {"open: true\naccess: {rules: []}\n", []string{"line 1: open: an open registry has no rules: remove open, or remove access"}},
		"plain passwords":          {"listen: :5000\n", []string{"line 1: listen: passwords would go over the network"}},
		"two documents":            {"listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", []string{"line 3: file: has more than one document"}},
		"a list":                   {"- a\n", []string{"line 1: file: is not a mapping"}},
		"broken syntax":            {"listen: \"x\ndata: y\n", []string{"line "}},
		"two sources of one name":  {"login:\n  - htpasswd: {file: a}\n  - htpasswd: {file: b}\n", []string{`line 3: login[1].name: there is another source with the name "htpasswd": give one of them another name`}},
		"a name with a colon":      {"login:\n  - name: a:b\n    htpasswd: {file: a}\n", []string{`line 2: login[0].name: "a:b" cannot be a name`}},
		"the name of keys":         {"login: [{name: key, htpasswd: {file: a}}]\n", []string{`line 1: login[0].name: "key" is the source of robots' keys: give it another name`}},
		"the operator's commands":  {"login: [{name: control, htpasswd: {file: a}}]\n", []string{`line 1: login[0].name: "control" is the source of the operator in the audit`}},
		"the operator's files":     {"login: [{name: file, htpasswd: {file: a}}]\n", []string{`line 1: login[0].name: "file" is the source of the operator in the audit`}},
		"the name of sessions":     {"login: [{name: session, htpasswd: {file: a}}]\n", []string{`line 1: login[0].name: "session" is the name of what this server issues itself: give it another name`}},
		"the name of own tokens":   {"login: [{htpasswd: {file: a}}]\ntoken:\n  accept:\n    - {name: own, issuer: i, service: s, keys_file: k}\n", []string{`line 4: token.accept[0].name: "own" is the name of what this server issues itself: give it another name`}},
		"a name of a token server": {"login: [{name: corp, htpasswd: {file: a}}]\ntoken:\n  accept:\n    - {name: corp, issuer: i, service: s, keys_file: k}\n", []string{"line 4: token.accept[0].name: there is another source"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := config.Parse([]byte(c.file), "")
			if diff := begins(problems, c.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWordsWithAColonAreWords: a list inside braces, the form in which rules are
// read best.
func TestWordsWithAColonAreWords(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"{who: [user:alice]}":                 {"user:alice"},
		"{who: [user:alice, group:dev]}":      {"user:alice", "group:dev"},
		"{who: [ user:alice , \"user:*\" ] }": {"user:alice", "user:*"},
		"{who: [user:007, anonymous]}":        {"user:007", "anonymous"},
		"{who: [user:ü, user:true]}":          {"user:ü", "user:true"},
		"{who: [a:b:c]}":                      {"a:b:c"},
		"{who: user:alice}":                   {"user:alice"},
		"who: [user:alice]":                   {"user:alice"},
	} {
		c, problems := config.Parse([]byte("access:\n  rules:\n  - "+file+"\n"), "")
		if c.Access == nil || len(c.Access.Rules) != 1 || !cmp.Equal(c.Access.Rules[0].Who, want) {
			t.Errorf("%s: %+v, want who %q: %v", file, c.Access, want, problems)
		}
	}
	for _, file := range []string{
		"{who: [user: alice]}", "{who: [{user: alice}]}", "{who: [{user:alice}]}", "{who: [user:{a: b}]}", "{who: [a: b:c]}", "{who: [user:[alice]]}",
	} {
		_, problems := config.Parse([]byte("access:\n  rules:\n  - "+file+"\n"), "")
		if len(problems) == 0 || problems[0].Path != "access.rules[0].who[0]" && problems[0].Path != "syntax" {
			t.Errorf("%s is taken: %v", file, problems)
		}
	}
}
