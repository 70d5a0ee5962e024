package oidc

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/oidctest"
)

func TestMistakesOfAConfiguration(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string // "": none
	}{
		"none":                         {func(*Config) {}, ""},
		"nothing is said":              {func(c *Config) { *c = Default() }, "issuer: say whose tokens; audience: say what the tokens are for; require: say which tokens"},
		"an issuer without https":      {func(c *Config) { c.Issuer = "http://login.example" }, "issuer: \"http://login.example\" is not a URL"},
		"an issuer on this machine":    {func(c *Config) { c.Issuer = "http://127.0.0.1:1" }, ""},
		"an issuer with a query":       {func(c *Config) { c.Issuer = "https://login.example/?x" }, "issuer: "},
		"an issuer without a host":     {func(c *Config) { c.Issuer = "kubernetes/serviceaccount" }, "issuer: "},
		"the same with keys":           {func(c *Config) { c.Issuer, c.KeysFile = "kubernetes/serviceaccount", "jwks" }, ""},
		"no audience":                  {func(c *Config) { c.Audience = nil }, "audience: say what"},
		"an empty audience":            {func(c *Config) { c.Audience = []string{"a", ""} }, "audience[1]: is empty"},
		"no require":                   {func(c *Config) { c.Require = "" }, "require: say which"},
		"a require of text":            {func(c *Config) { c.Require = `"yes"` }, "require: it is string, and must be bool"},
		"a public issuer":              {func(c *Config) { c.Issuer = "https://token.actions.githubusercontent.com" }, "require: anybody can get tokens"},
		"a public issuer, with a rule": {func(c *Config) { c.Issuer, c.Require = "https://gitlab.com", `claims.namespace_path == "a"` }, ""},
		"a mistake in user":            {func(c *Config) { c.User = "claims.sub +" }, "user: "},
		"a mistake in groups":          {func(c *Config) { c.Groups = "claim.groups" }, "groups: "},
		"a group that is no list":      {func(c *Config) { c.Groups = `"dev"` }, "groups: it is string, and must be list(string)"},
		"no name":                      {func(c *Config) { c.Username = "" }, "username: "},
		"a name with a colon":          {func(c *Config) { c.Username = "a:b" }, "username: "},
		"keys from two places":         {func(c *Config) { c.KeysURL, c.KeysFile = "https://a.example", "b" }, "keys_file: the keys come from one place"},
		"keys over plain http":         {func(c *Config) { c.KeysURL = "http://a.example" }, "keys_url: "},
		"an authority for a file":      {func(c *Config) { c.KeysFile, c.CA = "a", "b" }, "ca: nobody is asked"},
		"a token for nobody":           {func(c *Config) { c.TokenFile = "a" }, "token_file: "},
		"times":                        {func(c *Config) { c.Timeout, c.Refresh, c.Leeway = 0, 0, time.Hour }, "timeout: ; refresh: ; leeway: "},
		"an empty claim":               {func(c *Config) { c.Claims = []string{""} }, "claims[0]: "},
	} {
		c := Default()
		c.Issuer, c.Audience, c.Require = "https://login.example", []string{"registry.example"}, "true"
		tt.change(&c)
		got := problems(c)
		want := strings.FieldsFunc(tt.want, func(r rune) bool { return r == ';' })
		if len(got) != len(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(got, "\n"), strings.TrimSpace(w)) {
				t.Errorf("%s: %q, want %q", name, got, w)
			}
		}
	}
}

func TestOpenNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	missing, empty := filepath.Join(t.TempDir(), "missing"), filepath.Join(t.TempDir(), "empty")
	writeFile(t, empty, "")
	for want, change := range map[string]func(*Config){
		"missing: no such file": func(c *Config) { c.CA = missing },
		"no certificate in PEM": func(c *Config) { c.CA = empty },
		"no such file":          func(c *Config) { c.KeysFile = missing },
		"neither a JWK set":     func(c *Config) { c.KeysFile = empty },
	} {
		c := Default()
		c.Issuer, c.Audience, c.Require = "https://login.example", []string{"registry.example"}, "true"
		change(&c)
		if _, err := Open("ci", c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	gone := oidctest.Start(t)
	gone.Stop()
	for name, tt := range map[string]struct {
		change    func(*Config)
		want      string
		isProblem bool
	}{
		"as it should be":       {func(*Config) {}, p.Issuer + ": 1 keys at " + p.Issuer + "/keys", false},
		"another authority":     {func(c *Config) { c.CA = gone.CA }, "certificate signed by unknown authority", true},
		"another name":          {func(c *Config) { c.Issuer = strings.Replace(c.Issuer, "127.0.0.1", "localhost", 1) }, `is about the issuer "` + p.Issuer, true},
		"no issuer there":       {func(c *Config) { c.Issuer += "/realms/x" }, "404", true},
		"an issuer that is off": {func(c *Config) { c.Issuer, c.CA = gone.Issuer, gone.CA }, "connection refused", true},
		"no keys there":         {func(c *Config) { c.KeysURL = p.Issuer + "/.well-known/openid-configuration" }, `no list "keys"`, true},
		"keys at a URL":         {func(c *Config) { c.KeysURL = p.Issuer + "/keys" }, "1 keys at", false},
	} {
		c := providerConfig(p)
		tt.change(&c)
		found, err := open(t, c).Probe(t.Context())
		if err != nil {
			found += err.Error()
		}
		if (err != nil) != tt.isProblem || !strings.Contains(found, tt.want) {
			t.Errorf("%s: %q, error %v; want %q", name, found, err, tt.want)
		}
	}
}

func TestProbeComparesTheClocks(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]string{
		0: "", 30 * time.Second: "ahead of ours", -30 * time.Second: "behind ours",
		time.Hour: "!ahead of ours, so that tokens will be refused", -time.Hour: "!behind ours, so that",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			_, _ = w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
		}))
		c := Default()
		c.Issuer, c.Audience, c.Require, c.KeysURL = "https://login.example", []string{"registry.example"}, "true", server.URL
		found, err := open(t, c).Probe(t.Context())
		server.Close()
		if err != nil {
			found = "!" + err.Error()
		}
		isProblem := strings.HasPrefix(want, "!")
		if (err != nil) != isProblem || !strings.Contains(found, strings.TrimPrefix(want, "!")) || want == "" && strings.Contains(found, "clock") {
			t.Errorf("%s ahead: %q, want %q", ahead, found, want)
		}
	}
}

func TestProbeOfNoKeys(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }))
	t.Cleanup(server.Close)
	c := Default()
	c.Issuer, c.Audience, c.Require, c.KeysURL = "https://login.example", []string{"registry.example"}, "true", server.URL
	if _, err := open(t, c).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "none of its keys") {
		t.Errorf("error %v", err)
	}
}
