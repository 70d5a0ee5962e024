package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/config"
)

func TestParseReadsEverythingOverTheDefaults(t *testing.T) {
	t.Parallel()
	got, problems := config.Parse([]byte(`# a private registry
listen: ":5043"
data: /var/lib/moorgate
tls: {cert: domain.crt, key: domain.key}
login:
  - htpasswd: {file: registry.password}
  - htpasswd:
      file: second.password
trusted_proxies: [10.1.2.3/8, "::1"]
registry: {sparse: true, delete: false}
limits:
  idle_timeout: 90s
  uploads_per_user: 7
log: {level: warn, format: json, access: false}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := config.Default()
	want.Listen, want.Data = ":5043", "/var/lib/moorgate"
	want.TLS = config.TLS{Cert: "domain.crt", Key: "domain.key"}
	want.Login = []config.Login{
		{Htpasswd: &config.Htpasswd{File: "registry.password"}}, {Htpasswd: &config.Htpasswd{File: "second.password"}},
	}
	want.Registry = config.Registry{Sparse: true}
	want.Limits.IdleTimeout, want.Limits.UploadsPerUser = 90*time.Second, 7
	want.Log = config.Log{Level: "warn", Format: "json"}
	got.TrustedProxies, want.TrustedProxies = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTrustedProxiesAreRangesOrAddresses(t *testing.T) {
	t.Parallel()
	c, problems := config.Parse([]byte(`trusted_proxies: [10.1.2.3/8, "::1", 192.168.1.1]`))
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
		"wrong types": {
			"listen: [1]\nregistry:\n  sparse: often\nlimits:\n  idle_timeout: soon\nlogin: x\ntrusted_proxies:\n  - nowhere\n",
			[]string{"line 1: listen: ", "line 3: registry.sparse: ", "line 5: limits.idle_timeout: ", "line 6: login: is not a list", "line 8: trusted_proxies[0]: \"nowhere\" is no address"},
		},
		"bad values": {
			"listen: 127.0.0.1\ntls:\n  cert: a.crt\nlimits:\n  idle_timeout: 1ms\n  header_bytes: 1\nlog: {level: loud}\nlogin:\n  - htpasswd: {}\n  - {}\n",
			[]string{
				"line 1: listen: \"127.0.0.1\" is not host:port", "line 2: tls.key: missing", "line 9: login[0].htpasswd.file: name the password file",
				"line 10: login[1]: name an identity source", "line 5: limits.idle_timeout: 1ms is too short", "line 6: limits.header_bytes: ",
				"line 7: log.level: \"loud\" is not one of",
			},
		},
		"open with login":   {"open: true\nlogin: [{htpasswd: {file: x}}]\n", []string{"line 1: open: an open registry asks for no login"}},
		"plain passwords":   {"listen: :5000\n", []string{"line 1: listen: passwords would go over the network"}},
		"two documents":     {"listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", []string{"line 3: file: has more than one document"}},
		"a list":            {"- a\n", []string{"line 1: file: is not a mapping"}},
		"broken syntax":     {"listen: \"x\ndata: y\n", []string{"line "}},
		"a key given twice": {"data: a\ndata: b\n", []string{"line 2: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := config.Parse([]byte(c.file))
			var got []string
			for i, p := range problems {
				s := p.String()
				if i < len(c.want) && strings.HasPrefix(s, c.want[i]) {
					s = c.want[i]
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
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
		cfg := config.Default()
		c.change(&cfg)
		err := config.Problems("", cfg.Validate())
		if (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if c.refused && !strings.Contains(err.Error(), "--tls-cert") {
			t.Errorf("%s: does not say what to do: %v", name, err)
		}
	}
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	if problems := config.Default().Validate(); len(problems) > 0 {
		t.Error(problems)
	}
	if c, problems := config.Parse(nil); len(problems) > 0 || !cmp.Equal(c, config.Default()) {
		t.Errorf("an empty file is not the default: %+v %v", c, problems)
	}
}

func TestEnvironmentSetsAddressAndData(t *testing.T) {
	t.Parallel()
	c := config.Default()
	env := map[string]string{"MOORGATE_LISTEN": "127.0.0.1:1", "MOORGATE_DATA": ""}
	c.ApplyEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if c.Listen != "127.0.0.1:1" || c.Data != config.Default().Data {
		t.Errorf("listen %q, data %q", c.Listen, c.Data)
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
	f.Add([]byte("listen: 127.0.0.1:5000\n"))
	f.Add([]byte("login: [{htpasswd: {file: x}}]\ntrusted_proxies: [10.0.0.0/8]\n"))
	f.Add([]byte("limits: {idle_timeout: 1m}\n---\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("tls: !!binary x\n? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems := config.Parse(data)
		if len(problems) > 0 {
			for _, p := range problems {
				if p.Message == "" || p.Path == "" {
					t.Errorf("an empty problem: %+v", p)
				}
			}
			return
		}
		if again := c.Validate(); len(again) > 0 {
			t.Errorf("accepted, but not valid: %v", again)
		}
	})
}
