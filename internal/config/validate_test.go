package config_test

import (
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/config"
)

func TestValidateReportsTheContent(t *testing.T) {
	t.Parallel()
	const tokenServer = "login: [{htpasswd: {file: x}}]\ntoken: {services: [{name: a}]}\n"
	for name, c := range map[string]struct {
		role config.Role
		file string
		want []string // beginnings
	}{
		"certificates without TLS":      {"", "login:\n  - certificate: {ca: a}\n", []string{"line 2: login[0].certificate: certificates are shown only over TLS"}},
		"certificates with TLS":         {"", "tls: {self_signed: true}\nlogin:\n  - certificate: {ca: a}\n", nil},
		"certificates, wrong in all":    {"", "tls: {self_signed: true}\nlogin:\n  - certificate:\n      user: dn\n      groups: cn\n      domains: [A]\n", []string{"line 3: login[0].certificate.ca: ", "line 4: login[0].certificate.user: ", "line 6: login[0].certificate.domains: ", "line 6: login[0].certificate.domains[0]: ", "line 5: login[0].certificate.groups: "}},
		"groups of certificates":        {"", "tls: {self_signed: true}\nlogin:\n  - certificate: {ca: a, groups: ou}\naccess: {rules: [{who: \"group:x\", may: pull, repos: a}]}\n", nil},
		"no groups of certificates":     {"", "tls: {self_signed: true}\nlogin:\n  - certificate: {ca: a}\naccess: {rules: [{who: \"group:x\", may: pull, repos: a}]}\n", []string{"line 4: access.rules[0].who[0]: "}},
		"a front":                       {"", "login:\n  - front: {from: [10.1.2.3, fd00::/64], groups: X-Groups}\naccess: {rules: [{who: \"group:x\", may: pull, repos: a}]}\n", nil},
		"a front that is everywhere":    {"", "login:\n  - front: {from: [10.1.2.3, 0.0.0.0/0]}\n", []string{"line 2: login[0].front.from[1]: "}},
		"two kinds in one":              {"", "tls: {self_signed: true}\nlogin:\n  - front: {from: 10.1.2.3}\n    certificate: {ca: a}\n", []string{"line 3: login[0]: one source each: make certificate and front entries"}},
		"two fronts":                    {"", "login:\n  - front: {from: 10.1.2.3}\n  - front: {from: 10.1.2.4}\n", []string{"line 3: login[1].name: there is another source"}},
		"a gateway without a registry":  {config.Proxy, "", []string{"upstreams: a gateway needs a registry behind it: give --upstream"}},
		"a token server for nobody":     {config.Token, "", []string{"token.services: a token server needs", "login: a token server needs to know its users"}},
		"a token server":                {config.Token, tokenServer, nil},
		"the same, told by its content": {"", tokenServer, nil},
		"an open token server":          {config.Token, "open: true\ntoken: {services: [{name: a}]}\n", []string{"login: a token server needs", "line 1: open: a token server cannot be open"}},
		"a registry with upstreams":     {config.Serve, "upstreams: [{url: \"http://a\"}]\n", []string{`line 1: warning: upstreams: only "moorgate proxy" uses them`}},
		"a registry for other services": {config.Serve, "token: {services: [{name: a}]}\n", nil},
		"a service of the same name":    {config.Serve, "token: {services: [{name: moorgate}]}\n", []string{`line 1: token.services[0].name: `}},
		"open, and tokens of others":    {config.Serve, "open: true\ntoken: {accept: [{issuer: i, service: s, keys_file: a, realm: \"https://a/token\"}]}\n", []string{"line 1: open: "}},
		"a URL":                         {"", "url: https://registry.example.com:5043\n", nil},
		"a URL without a scheme":        {"", "url: registry.example.com\n", []string{"line 1: url: "}},
		"a URL with a path":             {"", "url: https://registry.example.com/v2\n", []string{"line 1: url: "}},
		"health at the same address":    {"", "health: {listen: 127.0.0.1:5000}\n", []string{"line 1: health.listen: 127.0.0.1:5000 is where the registry listens"}},
		"health without a port":         {"", "health: {listen: 127.0.0.1}\n", []string{`line 1: health.listen: "127.0.0.1" is not host:port`}},
		"health, both at any port":      {"", "listen: 127.0.0.1:0\nhealth: {listen: 127.0.0.1:0}\n", nil},
		"tokens out of bounds":          {"", "token:\n  service: ''\n  issuer: ''\n  algorithm: HS256\n  ttl: 4s\n  refresh_ttl: 1s\n  challenge: digest\n  rotate_overlap: -1s\n", []string{"line 2: token.service: ", "line 3: token.issuer: ", `line 4: token.algorithm: "HS256" is not one of ES256, RS256, EdDSA`, `line 7: token.challenge: "digest" is not`, "line 5: token.ttl: 4s is too short", "line 6: token.refresh_ttl: 1s is too short", "line 8: token.rotate_overlap: -1s is too short"}},
		"tokens that live too long":     {"", "token: {ttl: 61m}\n", []string{"line 1: token.ttl: 1h1m0s is too long"}},
		"lockout":                       {"", "lockout: {failures: 10, first: 1m, longest: 1h, forget: 3h, delay: 0, trusted: [10.0.0.0/8, 192.0.2.1]}\n", nil},
		"lockout, shortest":             {"", "lockout: {failures: 1, longest: 1s, forget: 1s}\n", nil},
		"lockout, its first":            {"", "lockout: {first: 0}\n", []string{"line 1: lockout.first: 0s is too short, at least 1s"}},
		"lockout, longer than any":      {"", "lockout: {first: 25h}\n", []string{"line 1: lockout.first: 25h0m0s is too long, at most 24h0m0s"}},
		"no lockout":                    {"", "lockout: {failures: 0}\n", []string{"line 1: warning: lockout.failures: whoever can reach the server may guess"}},
		"lockout that protects nobody":  {"", "lockout:\n  failures: 101\n  longest: 0s\n  forget: -1s\n  delay: -1s\n", []string{"line 2: lockout.failures: 101 is not between 1 and 100", "line 3: lockout.longest: 0s is too short, at least as long as lockout.first", "line 4: lockout.forget: -1s is too short: at least as long as lockout.longest", "line 5: lockout.delay: -1s is too short"}},
		"lockout that locks for ever":   {"", "lockout: {longest: 25h}\n", []string{"line 1: lockout.longest: 25h0m0s is too long, at most 24h0m0s: who is locked out"}},
		"lockout that never forgets":    {"", "lockout: {forget: 200h, delay: 11s}\n", []string{"line 1: lockout.forget: 200h0m0s is too long", "line 1: lockout.delay: 11s is too long"}},
		"lockout that forgets too soon": {"", "lockout: {longest: 1h, forget: 59m}\n", []string{"line 1: lockout.forget: 59m0s is too short: at least as long as lockout.longest, 1h0m0s"}},
		"lockout that trusts everybody": {"", "lockout: {trusted: [\"::/0\"]}\n", []string{"line 1: warning: lockout.trusted: ::/0 is the whole world"}},
		"lockout that trusts nonsense":  {"", "lockout: {trusted: [office]}\n", []string{`line 1: lockout.trusted[0]: "office" is no address`}},
		"sessions that are no sessions": {"", "token: {session_ttl: 59s}\n", []string{"line 1: token.session_ttl: 59s is not between 1m and 24h"}},
		"sessions that live too long":   {"", "token: {session_ttl: 25h}\n", []string{"line 1: token.session_ttl: 25h0m0s is not between"}},
		"no sessions":                   {"", "token: {session_ttl: 0}\n", nil},
		"a server named like sessions":  {"", "token: {service: urn:moorgate:session}\n", []string{`line 1: token.service: "urn:moorgate:session" is for sessions`}},
		"a service named like sessions": {
			config.Serve, "token:\n  services: [{name: urn:moorgate:session}]\n  accept: [{issuer: i, service: urn:moorgate:session, keys_file: a, realm: \"https://a/token\"}]\n",
			[]string{"line 2: token.services[0].name: ", "line 3: token.accept[0].service: "},
		},
		"content is freed at once":       {"", "registry: {free_after: 0}\n", nil},
		"content is freed before":        {"", "registry: {free_after: -1s}\n", []string{"line 1: registry.free_after: -1s is too short, at least 0s"}},
		"the shortest and longest token": {"", "token: {ttl: 5s, refresh_ttl: 0}\n", nil},
		"services": {
			config.Token, "login: [{htpasswd: {file: x}}]\ntoken:\n  services:\n    - {name: a}\n    - {name: a}\n    - {keys: pem}\n",
			[]string{`line 5: token.services[1].name: "a" is named twice`, "line 6: token.services[2].name: name the service", `line 6: token.services[2].keys: "pem" is not one of`},
		},
		"no keys of another token server": {"", "token: {accept: [{issuer: i, service: s}]}\n", []string{"line 1: token.accept[0]: say where its keys are"}},
		"two places for its keys":         {"", "token: {accept: [{issuer: i, service: s, keys_file: a, keys_url: \"https://b\"}]}\n", []string{"line 1: token.accept[0].keys_url: choose one"}},
		"neither issuer nor service":      {"", "token: {accept: [{keys_file: a}]}\n", []string{"line 1: token.accept[0].issuer: ", "line 1: token.accept[0].service: "}},
		"keys over the network in plain":  {"", "token: {accept: [{issuer: i, service: s, keys_url: \"http://auth.example.com/jwks\"}]}\n", []string{"line 1: token.accept[0].keys_url: whoever can change what is sent"}},
		"keys over the loopback in plain": {"", "token: {accept: [{issuer: i, service: s, keys_url: \"http://127.0.0.1:1/jwks\"}]}\n", nil},
		"what else can be wrong there": {
			"", "token: {accept: [{issuer: i, service: s, keys_file: a, ca: b, realm: nowhere, refresh: 1ms}]}\n",
			[]string{`line 1: token.accept[0].realm: "nowhere" is not a URL`, "line 1: token.accept[0].ca: only keys_url", "line 1: token.accept[0].refresh: 1ms is too short"},
		},
		"upstreams": {
			"", "upstreams:\n  - {url: \"https://a\", ca: b, realms: [auth:5001], timeout: 1s}\n  - {prefix: team/x, url: \"unix:/run/a.sock\"}\n", nil,
		},
		"an upstream that is nowhere":    {"", "upstreams: [{prefix: a}]\n", []string{"line 1: upstreams[0].url: say where the registry is"}},
		"an upstream that is a host":     {"", "upstreams: [{url: \"registry:5000\"}]\n", []string{`line 1: upstreams[0].url: "registry:5000" is not a URL`}},
		"an upstream with a path":        {"", "upstreams: [{url: \"http://a/v2\"}]\n", []string{`line 1: upstreams[0].url: `}},
		"a socket that is relative":      {"", "upstreams: [{url: \"unix:a.sock\"}]\n", []string{`line 1: upstreams[0].url: `}},
		"two upstreams for all":          {"", "upstreams:\n  - url: http://a\n  - url: http://b\n", []string{"line 3: upstreams[1].prefix: two upstreams have all repositories"}},
		"two upstreams for one prefix":   {"", "upstreams:\n  - {url: \"http://a\", prefix: x}\n  - {url: \"http://b\", prefix: x}\n", []string{`line 3: upstreams[1].prefix: there is another upstream for "x"`}},
		"a prefix with a slash":          {"", "upstreams: [{url: \"http://a\", prefix: x/}]\n", []string{`line 1: upstreams[0].prefix: "x/" cannot begin a repository name`}},
		"a user without a password":      {"", "upstreams: [{url: \"http://a\", username: u}]\n", []string{"line 1: warning: upstreams[0].password_file: missing: name the file with the password, or set MOORGATE_UPSTREAM_PASSWORD"}},
		"one of two without a password":  {"", "upstreams:\n  - url: http://a\n  - {url: \"http://b\", prefix: x, username: u}\n", []string{"line 3: upstreams[1].password_file: missing"}},
		"a password without a user":      {"", "upstreams: [{url: \"http://a\", password_file: p}]\n", []string{"line 1: upstreams[0].username: missing"}},
		"credentials of both sides":      {"", "upstreams: [{url: \"http://a\", username: u, password_file: p, pass_credentials: true}]\n", []string{"line 1: upstreams[0].pass_credentials: choose one"}},
		"passwords that nobody asks for": {"", "open: true\nupstreams: [{url: \"http://a\", pass_credentials: true}]\n", []string{"line 2: warning: upstreams[0].pass_credentials: clients have no password"}},
		"tokens that are passed on":      {"", "token: {challenge: bearer}\nupstreams: [{url: \"http://a\", pass_credentials: true}]\n", []string{"line 2: warning: upstreams[0].pass_credentials: clients have no password"}},
		"passwords that are passed on":   {"", "token: {challenge: basic}\nupstreams: [{url: \"http://a\", pass_credentials: true}]\n", nil},
		"an authority for plain HTTP":    {"", "upstreams: [{url: \"http://a\", ca: b}]\n", []string{"line 1: upstreams[0].ca: only a registry with https"}},
		"a realm that is a URL":          {"", "upstreams: [{url: \"http://a\", realms: \"https://auth/\"}]\n", []string{`line 1: upstreams[0].realms[0]: "https://auth/" is not a host`}},
		"an upstream that is never slow": {"", "upstreams: [{url: \"http://a\", timeout: -1s}]\n", []string{"line 1: upstreams[0].timeout: -1s is too short"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := config.Parse([]byte(c.file), c.role)
			if diff := begins(problems, c.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPasswordInAURLIsNotShown(t *testing.T) {
	t.Parallel()
	_, problems := config.Parse([]byte("upstreams: [{url: \"http://gate:s3cret@registry\"}]\n"), "")
	err := config.Problems("", problems)
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "without a path or credentials") {
		t.Errorf("credentials in the URL: %v", err)
	}
}

func TestMistakesInRulesStandAtTheirLines(t *testing.T) {
	t.Parallel()
	const file = `access:
  groups:
    idle: [alice]
  rules:
    - {who: "*", may: pull, repos: "**"}
    - who: "user:bob"
      may: pull
      repos: "a/**"
    - who: "group:nobody"
      may: push
      repos:
        - ok/**
        - "bad["
`
	_, problems := config.Parse([]byte(file), "")
	if diff := begins(problems, []string{
		"line 9: access.rules[2].who[0]: ", "line 13: access.rules[2].repos[1]: ",
		"line 6: warning: access.rules[1]: it is not needed", "line 3: warning: access.groups.idle: no rule uses the group",
	}); diff != "" {
		t.Error(diff)
	}
	// A rule that could not be read whole must not make others seem idle.
	_, problems = config.Parse([]byte(strings.Replace(file, `may: pull, repos: "**"`, `may: pull, repos: "**", tag: v1`, 1)), "")
	for _, p := range problems {
		if p.Warning {
			t.Errorf("a warning that may be wrong: %s", p)
		}
	}
}

func TestEnvironmentWinsOverTheFile(t *testing.T) {
	t.Parallel()
	apply := func(f *config.File, env map[string]string) error {
		return f.ApplyEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	}
	f := config.NoFile()
	if err := apply(f, map[string]string{"MOORGATE_LISTEN": "127.0.0.1:1", "MOORGATE_DATA": ""}); err != nil {
		t.Fatal(err)
	}
	if f.Config.Listen != "127.0.0.1:1" || f.Config.Data != config.Default().Data {
		t.Errorf("listen %q, data %q", f.Config.Listen, f.Config.Data)
	}

	secret := map[string]string{"MOORGATE_UPSTREAM_PASSWORD": "s3cret"}
	if err := apply(config.NoFile(), secret); err != nil {
		t.Errorf("a password and no upstream: %v", err)
	}
	f = config.NoFile()
	f.Config.Upstreams = make([]config.Upstream, 1)
	f.Config.Upstreams[0].PasswordFile = "file"
	if err := apply(f, secret); err != nil || f.Config.Upstreams[0].Password != "s3cret" || f.Config.Upstreams[0].PasswordFile != "" {
		t.Errorf("one upstream: %v, file %q", err, f.Config.Upstreams[0].PasswordFile)
	}
	f.Config.Upstreams = make([]config.Upstream, 2)
	if err := apply(f, secret); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "password_file") {
		t.Errorf("two upstreams: %v", err)
	}
}
