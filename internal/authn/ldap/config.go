package ldap

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/moorgate/moorgate/internal/loopback"
)

// Config says where a directory is, and how people are found in it.
type Config struct {
	URLs           []string      `yaml:"urls"`            // ldaps://host or ldap://host, with a port or without; the next is asked when one cannot be reached
	StartTLS       bool          `yaml:"start_tls"`       // begin TLS on an ldap:// connection (RFC 4511, section 4.14)
	Plain          bool          `yaml:"plain"`           // send passwords over ldap:// for others to read
	CA             string        `yaml:"ca"`              // PEM file of the authorities to trust; "": those of the system
	BindDN         string        `yaml:"bind_dn"`         // who searches; "": nobody in particular
	PasswordFile   string        `yaml:"password_file"`   // the password of BindDN, read at the start
	Users          Users         `yaml:"users"`           //
	Groups         Groups        `yaml:"groups"`          //
	Timeout        time.Duration `yaml:"timeout"`         // for connecting, and for each answer
	MaxConnections int           `yaml:"max_connections"` // at the same time; who comes then waits
	Cache          time.Duration `yaml:"cache"`           // how long a verified password is remembered, with its groups; 0: not at all
}

// Users says how a name becomes an entry. In Filter and Bind, {user} is the name,
// escaped for where it stands.
type Users struct {
	Base   string `yaml:"base"`   // where people are searched
	Filter string `yaml:"filter"` // who of them has the name
	Name   string `yaml:"name"`   // the attribute that holds the name
	Bind   string `yaml:"bind"`   // users sign in as this, before any search: a DN, or a name such as {user}@example.com
}

// Groups says which groups somebody is in; without a base and an attribute, none.
type Groups struct {
	Attribute string `yaml:"attribute"` // of a person, with the DNs of groups, such as memberOf
	Below     string `yaml:"below"`     // of those DNs only the ones below this one count; "": all
	Base      string `yaml:"base"`      // where groups are searched
	Filter    string `yaml:"filter"`    // which of them somebody is in: {dn} is the entry, {user} the name, escaped
	Name      string `yaml:"name"`      // the attribute of a group that names it
	Nested    bool   `yaml:"nested"`    // groups of groups count too
}

// Default is the configuration of a directory of which nothing is said.
func Default() Config {
	return Config{
		Users:          Users{Filter: "(uid={user})", Name: "uid"},
		Groups:         Groups{Filter: "(|(member={dn})(uniqueMember={dn}))", Name: "cn"},
		Timeout:        5 * time.Second,
		MaxConnections: 8,
		Cache:          time.Minute,
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
	check(len(c.URLs) > 0, "urls", "say where the directory is, such as ldaps://ldap.example.com")
	for i, text := range c.URLs {
		c.checkURL(func(ok bool, format string, args ...any) { check(ok, fmt.Sprintf("urls[%d]", i), format, args...) }, text)
	}
	check((c.BindDN == "") == (c.PasswordFile == ""), "password_file", "bind_dn and password_file go together: give both, or none to search without a name")
	check(isDN(c.BindDN) || isAccount(c.BindDN), "bind_dn", "%q is not a DN such as cn=moorgate,dc=example,dc=org", c.BindDN)
	c.Users.check(check)
	c.Groups.check(check)
	check(c.Timeout >= 100*time.Millisecond, "timeout", "%s is too short, at least 100ms", c.Timeout)
	check(c.MaxConnections >= 1, "max_connections", "at least 1")
	check(c.Cache >= 0, "cache", "a duration, or 0s for no memory")
}

type checkFunc func(ok bool, key, format string, args ...any)

func (c Config) checkURL(check func(ok bool, format string, args ...any), text string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		check(false, "%q is not a URL such as ldaps://ldap.example.com, with host and port alone", text)
		return
	}
	check(!c.StartTLS || u.Scheme == "ldap", "with start_tls the URL begins with ldap://: remove start_tls for ldaps://")
	check(u.Scheme == "ldaps" || c.StartTLS || c.Plain || loopback.Is(u.Hostname()),
		"passwords would be sent for others to read: use ldaps:// or start_tls, or say plain: true")
}

func (u Users) check(check checkFunc) {
	if u.Bind != "" {
		named := strings.Count(u.Bind, "{user}") == 1
		check(named && (isDN(u.Bind) || isAccount(u.Bind)), "users.bind", "%q is not a DN with {user} in it, such as uid={user},ou=people,dc=example,dc=org, or a name such as {user}@example.com", u.Bind)
		check(u.Base != "" || isDN(u.Bind), "users.base", "missing: after signing in as %s, the entry has to be found", u.Bind)
	}
	check(isDN(u.Base) && (u.Base != "" || u.Bind != ""), "users.base", "%q is not a DN such as ou=people,dc=example,dc=org: say where people are", u.Base)
	check(strings.Contains(u.Filter, "{user}") && isFilter(u.Filter), "users.filter", "%q is not a filter with {user} in it, such as (uid={user})", u.Filter)
	check(isAttribute(u.Name), "users.name", "%q is not an attribute such as uid", u.Name)
}

func (g Groups) check(check checkFunc) {
	check(g.Attribute == "" || isAttribute(g.Attribute), "groups.attribute", "%q is not an attribute such as memberOf", g.Attribute)
	check(isDN(g.Below), "groups.below", "%q is not a DN such as ou=groups,dc=example,dc=org", g.Below)
	check(g.Below == "" || g.Attribute != "", "groups.below", "only groups.attribute has DNs to choose from: name it, or remove below")
	check(isDN(g.Base), "groups.base", "%q is not a DN such as ou=groups,dc=example,dc=org", g.Base)
	named := strings.Contains(g.Filter, "{dn}") || strings.Contains(g.Filter, "{user}")
	check(named && isFilter(g.Filter), "groups.filter", "%q is not a filter with {dn} or {user} in it, such as (member={dn})", g.Filter)
	// A group has no user name: one that is called like a user is not that user.
	check(!g.Nested || g.Base == "" || !strings.Contains(g.Filter, "{user}"), "groups.filter", "%q has {user} in it, which no group has: with nested, use {dn} alone", g.Filter)
	check(isAttribute(g.Name), "groups.name", "%q is not an attribute such as cn", g.Name)
}

func isDN(text string) bool {
	_, err := ldap.ParseDN(strings.ReplaceAll(text, "{user}", "user"))
	return err == nil
}

// isAccount reports whether text is a name as Active Directory takes it instead of
// a DN.
func isAccount(text string) bool { return strings.ContainsAny(text, `@\`) }

func isFilter(text string) bool {
	_, err := ldap.CompileFilter(strings.NewReplacer("{user}", "user", "{dn}", "cn=group").Replace(text))
	return err == nil
}

func isAttribute(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// address returns host and port of a URL.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
