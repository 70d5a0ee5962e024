package oidc

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/loopback"
)

// Config says whose tokens are taken, for whom, and whom they speak of.
type Config struct {
	Issuer   string   `yaml:"issuer"`   // as the tokens have it in iss
	Audience []string `yaml:"audience"` // one of them must be in aud
	Username string   `yaml:"username"` // the name that comes with a token as the password
	Require  string   `yaml:"require"`  // CEL over claims: true for the tokens that are taken
	User     string   `yaml:"user"`     // CEL: the name of the user
	Groups   string   `yaml:"groups"`   // CEL: the list of the user's groups
	Claims   []string `yaml:"claims"`   // which claims the rules can ask about; none named: all

	KeysURL   string        `yaml:"keys_url"`   // JWK set of an issuer that does not say where it is
	KeysFile  string        `yaml:"keys_file"`  // JWK set or PEM of an issuer that cannot be reached
	CA        string        `yaml:"ca"`         // PEM file of the authorities to trust; "": those of the system
	TokenFile string        `yaml:"token_file"` // a token that KeysURL wants to see
	Timeout   time.Duration `yaml:"timeout"`    // for getting the keys
	Refresh   time.Duration `yaml:"refresh"`    // how old the keys may be
	Leeway    time.Duration `yaml:"leeway"`     // how far the clock of the issuer may be ahead
}

// Default is the configuration of an issuer of which nothing is said.
func Default() Config {
	return Config{
		Username: "oidc", User: "claims.sub", Groups: "[]",
		Timeout: 10 * time.Second, Refresh: 10 * time.Minute, Leeway: time.Minute,
	}
}

// Check reports all that is wrong with the values themselves: the key, and what
// to do about it.
func (c Config) Check(report func(key, problem string)) {
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			report(key, fmt.Sprintf(format, args...))
		}
	}
	c.checkIssuer(check)
	check(len(c.Audience) > 0, "audience", "say what the tokens are for, such as the host of this registry: a token for somebody else must not be good here")
	for i, a := range c.Audience {
		check(a != "", fmt.Sprintf("audience[%d]", i), "is empty: say what the tokens are for")
	}
	check(isName(c.Username) && !strings.Contains(c.Username, ":"), "username", "%q cannot be the name that comes with a token", c.Username)
	for i, name := range c.Claims {
		check(name != "", fmt.Sprintf("claims[%d]", i), "is empty: name a claim such as ref")
	}
	check(c.Timeout >= 100*time.Millisecond && c.Timeout <= time.Minute, "timeout", "%s is not from 100ms to 1m", c.Timeout)
	check(c.Refresh >= time.Second && c.Refresh <= 24*time.Hour, "refresh", "%s is not from 1s to 24h", c.Refresh)
	check(c.Leeway >= 0 && c.Leeway <= 10*time.Minute, "leeway", "%s is not from 0s to 10m: mend the clocks", c.Leeway)
	_, mistakes := compile(c)
	for key, err := range mistakes {
		check(false, key, "%s", err)
	}
}

// Files returns the files that are read again when they change.
func (c Config) Files() []string {
	if c.KeysFile == "" {
		return nil
	}
	return []string{c.KeysFile}
}

type checkFunc func(ok bool, key, format string, args ...any)

func (c Config) checkIssuer(check checkFunc) {
	discovered := c.KeysURL == "" && c.KeysFile == ""
	check(isName(c.Issuer), "issuer", "say whose tokens are taken: the URL that they have in iss")
	check(!discovered || c.Issuer == "" || isURL(c.Issuer) && !strings.Contains(c.Issuer, "?"), "issuer", "%q is not a URL such as https://gitlab.example.com; for an issuer without one name keys_url or keys_file", c.Issuer)
	check(c.KeysURL == "" || c.KeysFile == "", "keys_file", "the keys come from one place: remove keys_url or keys_file")
	check(c.KeysURL == "" || isURL(c.KeysURL), "keys_url", "%q is not a URL such as https://gitlab.example.com/oauth/discovery/keys", c.KeysURL)
	check(c.CA == "" || c.KeysFile == "", "ca", "nobody is asked for keys that are in keys_file: remove ca")
	check(c.TokenFile == "" || c.KeysURL != "", "token_file", "the token is for keys_url, and for nobody else: name it")
}

// isURL reports whether something can be fetched from there that nobody can change on
// the way.
func isURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback.Is(u.Hostname())
}

// isPublic reports whether anybody at all can get tokens of an issuer.
func isPublic(issuer string) bool {
	return slices.Contains([]string{
		"https://token.actions.githubusercontent.com", "https://gitlab.com", "https://accounts.google.com", "accounts.google.com",
		"https://agent.buildkite.com", "https://app.terraform.io", "https://oidc.vercel.com", "https://appleid.apple.com",
	}, strings.TrimSuffix(issuer, "/"))
}

// compile returns the expressions, or what is wrong with each key.
func compile(c Config) (*mapping, map[string]error) {
	m, mistakes := &mapping{keep: c.Claims}, map[string]error{}
	var err error
	if m.user, err = access.CompileClaims[string](c.User); err != nil {
		mistakes["user"] = err
	}
	if m.groups, err = access.CompileClaims[[]string](c.Groups); err != nil {
		mistakes["groups"] = err
	}
	if c.Require == "" {
		mistakes["require"] = errors.New(`say which tokens of this issuer are taken, such as claims.repository_owner == "acme", or "true" for all`)
		return m, mistakes
	}
	m.require, err = access.CompileClaims[bool](c.Require)
	switch {
	case err != nil:
		mistakes["require"] = err
	case isPublic(c.Issuer) && !m.require.AsksClaims():
		mistakes["require"] = fmt.Errorf("anybody can get tokens of %s: ask for a claim that only yours have", c.Issuer)
	}
	return m, mistakes
}
