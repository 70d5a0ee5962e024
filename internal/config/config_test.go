package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/config"
)

func TestTrustedProxiesAreRangesOrAddresses(t *testing.T) {
	t.Parallel()
	c, problems := config.Parse([]byte(`trusted_proxies: [10.1.2.3/8, "::1", 192.168.1.1]`), config.Serve)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, p := range c.Proxies() {
		got = append(got, p.String())
	}
	if diff := cmp.Diff([]string{"10.0.0.0/8", "::1/128", "192.168.1.1/32"}, got); diff != "" {
		t.Error(diff)
	}
	if !c.Proxies()[0].Contains(netip.MustParseAddr("10.9.9.9")) {
		t.Error("the range does not contain its addresses")
	}
}

func TestPlainPasswordsAreRefusedOnANetwork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*config.Config)
		refused bool
	}{
		"loopback":        {func(c *config.Config) { c.Listen = "127.0.0.1:5000" }, false},
		"loopback, IPv6":  {func(c *config.Config) { c.Listen = "[::1]:5000" }, false},
		"localhost":       {func(c *config.Config) { c.Listen = "localhost:5000" }, false},
		"all addresses":   {func(c *config.Config) { c.Listen = ":5000" }, true},
		"all, in full":    {func(c *config.Config) { c.Listen = "0.0.0.0:5000" }, true},
		"a host name":     {func(c *config.Config) { c.Listen = "registry.example:5000" }, true},
		"with TLS":        {func(c *config.Config) { c.Listen, c.TLS.SelfSigned = ":5000", true }, false},
		"open":            {func(c *config.Config) { c.Listen, c.Open = ":5000", true }, false},
		"behind a proxy":  {func(c *config.Config) { c.Listen, c.TrustedProxies = ":5000", make([]config.Prefix, 1) }, false},
		"an address of a": {func(c *config.Config) { c.Listen = "10.0.0.1:5000" }, true},
	} {
		for _, role := range config.Roles() {
			cfg := config.Default()
			c.change(&cfg)
			err := config.Problems("", cfg.Validate(role))
			refused := err != nil && strings.Contains(err.Error(), "passwords would go over the network")
			if refused != c.refused {
				t.Errorf("%s, %s: %v", role, name, err)
			}
			if refused && !strings.Contains(err.Error(), "--tls-cert") {
				t.Errorf("%s, %s: does not say what to do: %v", role, name, err)
			}
		}
	}
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	if problems := config.Default().Validate(config.Serve); len(problems) > 0 {
		t.Error(problems)
	}
	if c, problems := config.Parse(nil, ""); len(problems) > 0 || !cmp.Equal(c, config.Default()) {
		t.Errorf("an empty file is not the default: %+v %v", c, problems)
	}
}

func TestReadNamesTheFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "m.yaml")
	if _, err := config.Read(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte("a: 1\nb: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Read(file)
	if err == nil || strings.Count(err.Error(), file+": line ") != 2 {
		t.Errorf("two mistakes: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("*0"))
	f.Add([]byte("? ''"))
	f.Add([]byte("listen: 127.0.0.1:5000\n"))
	f.Add([]byte("login: [{htpasswd: {file: x}}]\ntrusted_proxies: [10.0.0.0/8]\n"))
	f.Add([]byte("limits: {idle_timeout: 1m}\n---\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("tls: !!binary x\n? [a]\n: b\n"))
	f.Add([]byte("access: {groups: {a: b, c: [d]}, rules: [{who: \"*\", may: pull, repos: a/**, when: repo == tag}]}\n"))
	f.Add([]byte("token: {services: [{name: a}], accept: [{issuer: b, service: c, keys_url: \"https://d\"}]}\nupstreams: [{url: \"unix:/a\"}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems := config.Parse(data, "")
		if config.Problems("", problems) != nil {
			for _, p := range problems {
				if p.Message == "" || p.Path == "" {
					t.Errorf("an empty problem: %+v", p)
				}
			}
			return
		}
		if again := config.Problems("", c.Validate("")); again != nil {
			t.Errorf("accepted, but not valid: %v", again)
		}
	})
}

// What nobody may do is written by rules that are there and empty.
func TestPolicyOfAFile(t *testing.T) {
	t.Parallel()
	const trust = "token: {accept: [{issuer: them, service: us, keys_file: k}]}\n"
	alice := access.Question{Who: access.Identity{User: "alice"}, Scope: access.Scope{Repo: "a", Action: access.Pull}}
	ops := alice
	ops.Who.Groups = []string{"ops"}
	for name, c := range map[string]struct {
		file string
		ask  access.Question
		want string
	}{
		"nothing":             {"", alice, "signed-in users may do everything"},
		"no rules":            {"access: {}", alice, "no rule allows it"},
		"an empty list":       {"access: {rules: []}", alice, "no rule allows it"},
		"open":                {"open: true", access.Question{Scope: alice.Scope}, "the registry is open"},
		"trust in others":     {trust, alice, access.Delegated().Decide(alice).Rule},
		"a group from others": {trust + `access: {rules: [{who: "group:ops", may: pull, repos: a}]}`, ops, "rule 1"},
	} {
		c0, problems := config.Parse([]byte(c.file), config.Serve)
		policy, mistakes := c0.Policy()
		if len(problems) > 0 || len(mistakes) > 0 {
			t.Errorf("%s: %v, %v", name, problems, mistakes)
			continue
		}
		if d := policy.Decide(c.ask); !strings.HasPrefix(d.Rule, c.want) {
			t.Errorf("%s: %s, want %s", name, d.Rule, c.want)
		}
	}
}
