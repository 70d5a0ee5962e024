package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/loopback"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/session"
)

// url checks how clients reach the server.
func (v *validator) url(text string) {
	if text == "" {
		return
	}
	u, ok := webURL(text)
	v.check(ok && strings.TrimSuffix(u.Path, "/") == "", "url", "%q is not a URL such as https://registry.example.com, without a path", text)
}

// webURL parses a URL of a server that has no more than scheme, host and path.
func webURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return &url.URL{}, false
	}
	return u, u.User == nil && u.RawQuery == "" && u.Fragment == "" && !strings.HasSuffix(text, "?")
}

func (v *validator) tokens(c Config, role Role) {
	t := c.Token
	v.check(t.Service != "", "token.service", "name what the tokens are for, such as the host name of the registry")
	v.check(t.Issuer != "", "token.issuer", "name who issues the tokens")
	v.oneOf("token.algorithm", t.Algorithm, "ES256", "RS256", "EdDSA")
	v.oneOf("token.challenge", t.Challenge, "auto", "basic", "bearer")
	v.atLeast("token.ttl", t.TTL, 5*time.Second)
	v.check(t.TTL <= time.Hour, "token.ttl", "%s is too long, at most 1h: a token is good until then, whatever happens to its user", t.TTL)
	v.check(t.RefreshTTL == 0 || t.RefreshTTL >= time.Minute, "token.refresh_ttl", "%s is too short: at least 1m, or 0 for no refresh tokens", t.RefreshTTL)
	v.check(t.SessionTTL == 0 || t.SessionTTL >= time.Minute && t.SessionTTL <= 24*time.Hour, "token.session_ttl", "%s is not between 1m and 24h, nor 0 for no sessions", t.SessionTTL)
	v.check(t.Service != session.Audience, "token.service", "%q is for sessions: give the registry another name", t.Service)
	v.atLeast("token.rotate_overlap", t.RotateOverlap, 0)
	seen := map[string]bool{}
	for i, s := range t.Services {
		path := fmt.Sprintf("token.services[%d]", i)
		v.check(s.Name != "", path+".name", "name the service, as the registry calls itself")
		v.check(s.Name != session.Audience, path+".name", "%q is for sessions, not for a registry", s.Name)
		v.check(s.Name == "" || !seen[s.Name], path+".name", "%q is named twice", s.Name)
		v.check(role == Token || s.Name != t.Service, path+".name", "%q is this server itself (token.service): give one of them another name", s.Name)
		seen[s.Name] = true
		v.oneOf(path+".keys", s.Keys, "certificate", "jwks")
	}
	for i, a := range t.Accept {
		v.accept(fmt.Sprintf("token.accept[%d]", i), a)
	}
}

func (v *validator) accept(path string, a Accept) {
	v.check(a.Issuer != "", path+".issuer", "name the issuer, as its tokens do")
	v.check(a.Service != "", path+".service", "name the service that its tokens are for, as they do")
	v.check(a.Service != session.Audience, path+".service", "%q is for the sessions of a server, which are good nowhere else", a.Service)
	v.check(a.KeysFile == "" || a.KeysURL == "", path+".keys_url", "choose one: keys_file or keys_url")
	v.check(a.KeysFile != "" || a.KeysURL != "", path, "say where its keys are: in keys_file or at keys_url")
	if a.Realm != "" {
		_, ok := webURL(a.Realm)
		v.check(ok, path+".realm", "%q is not a URL such as https://auth.example.com/token", a.Realm)
	}
	if a.KeysURL != "" {
		u, ok := webURL(a.KeysURL)
		v.check(ok, path+".keys_url", "%q is not a URL such as https://auth.example.com/jwks.json", a.KeysURL)
		v.check(!ok || u.Scheme == "https" || loopback.Is(u.Hostname()), path+".keys_url",
			"whoever can change what is sent over the network could give us keys: use https")
	}
	v.check(a.CA == "" || a.KeysURL != "", path+".ca", "only keys_url takes authorities")
	v.atLeast(path+".refresh", a.Refresh, time.Second)
}

func (v *validator) upstreams(c Config) {
	list := c.Upstreams
	seen := map[string]bool{}
	for i, u := range list {
		path := fmt.Sprintf("upstreams[%d]", i)
		v.upstream(path, u)
		v.warn(!u.PassCredentials || !c.Open && c.Token.Challenge != "bearer", path+".pass_credentials",
			"clients have no password to pass on where they are asked for none: remove open, and set token.challenge to basic")
		v.check(u.Password != "" || u.PasswordFile != "" || u.Username == "" || len(list) == 1, path+".password_file", "missing: name the file with the password")
		if u.Password == "" && u.PasswordFile == "" && u.Username != "" && len(list) == 1 {
			v.warn(false, path+".password_file", "missing: name the file with the password, or set MOORGATE_UPSTREAM_PASSWORD")
		}
		switch {
		case seen[u.Prefix] && u.Prefix == "":
			v.check(false, path+".prefix", "two upstreams have all repositories: give one of them a prefix")
		case seen[u.Prefix]:
			v.check(false, path+".prefix", "there is another upstream for %q", u.Prefix)
		}
		seen[u.Prefix] = true
	}
}

func (v *validator) upstream(path string, u Upstream) {
	if u.Prefix != "" {
		v.check(oci.CheckRepository(u.Prefix) == nil, path+".prefix", "%q cannot begin a repository name: write it like team or team/mirror, without a slash at its end", u.Prefix)
	}
	v.check(u.URL != "", path+".url", "say where the registry is, such as http://registry:5000")
	v.check(u.URL == "" || upstreamURL(u.URL), path+".url", "%q is not a URL such as http://registry:5000 or unix:/run/registry.sock, without a path or credentials", redact(u.URL))
	v.check(u.CA == "" || strings.HasPrefix(u.URL, "https:"), path+".ca", "only a registry with https takes authorities")
	v.check(u.Username != "" || u.PasswordFile == "" && u.Password == "", path+".username", "missing: a password needs its user name")
	v.check(!u.PassCredentials || u.Username == "", path+".pass_credentials", "choose one: the credentials of the clients, or those of the gateway (username)")
	for i, host := range u.Realms {
		v.check(host != "" && !strings.ContainsAny(host, "/@? "), fmt.Sprintf("%s.realms[%d]", path, i), "%q is not a host such as auth.example.com or auth.example.com:5001", host)
	}
	v.atLeast(path+".timeout", u.Timeout, 0)
}

func upstreamURL(text string) bool {
	if socket, ok := strings.CutPrefix(text, "unix:"); ok {
		return strings.HasPrefix(socket, "/")
	}
	u, ok := webURL(text)
	return ok && strings.TrimSuffix(u.Path, "/") == ""
}

// redact returns a URL without the password that it should not have.
func redact(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}

// Loopback reports whether only this machine can reach the server.
func (c Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && loopback.Is(host)
}
