package config

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn/clientcert"
	"github.com/moorgate/moorgate/internal/authn/front"
	"github.com/moorgate/moorgate/internal/authn/ldap"
	"github.com/moorgate/moorgate/internal/authn/oidc"
)

// Login is one identity source; exactly one field besides the name is set.
type Login struct {
	Name        string       `yaml:"name"` // Identity.Source, as Source returns it
	Htpasswd    *Htpasswd    `yaml:"htpasswd"`
	LDAP        *LDAP        `yaml:"ldap"`
	OIDC        *OIDC        `yaml:"oidc"`
	Certificate *Certificate `yaml:"certificate"`
	Front       *Front       `yaml:"front"`
}

// Htpasswd is a file of users and password hashes.
type Htpasswd struct {
	File string `yaml:"file"`
}

// LDAP is a directory.
type LDAP struct{ ldap.Config }

func (l *LDAP) setDefaults() { l.Config = ldap.Default() }

// OIDC is an issuer of tokens for machines.
type OIDC struct{ oidc.Config }

func (o *OIDC) setDefaults() { o.Config = oidc.Default() }

// Certificate is those who show a certificate when they connect.
type Certificate struct{ clientcert.Config }

func (c *Certificate) setDefaults() { c.Config = clientcert.Default() }

// Front is those whom a proxy in front of us has let in.
type Front struct{ front.Config }

func (f *Front) setDefaults() { f.Config = front.Default() }

// kinds returns what sort of source it is: one name, unless there is a mistake.
func (l Login) kinds() (names []string) {
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"htpasswd", l.Htpasswd != nil},
		{"ldap", l.LDAP != nil},
		{"oidc", l.OIDC != nil},
		{"certificate", l.Certificate != nil},
		{"front", l.Front != nil},
	} {
		if k.set {
			names = append(names, k.name)
		}
	}
	return names
}

// Source is the name of the source in identities: the one that was given, else
// its kind.
func (l Login) Source() string {
	if kinds := l.kinds(); l.Name == "" && len(kinds) > 0 {
		return kinds[0]
	}
	return l.Name
}

// namesGroups reports whether the source says which groups somebody is in.
func (l Login) namesGroups() bool {
	switch {
	case l.LDAP != nil:
		return l.LDAP.Groups.Attribute != "" || l.LDAP.Groups.Base != ""
	case l.OIDC != nil:
		return l.OIDC.Groups != oidc.Default().Groups
	case l.Certificate != nil:
		return l.Certificate.Groups != ""
	case l.Front != nil:
		return l.Front.Groups != ""
	}
	return false
}

// sourceName is what identity sources may be called: it stands before a user
// name, with a colon between.
var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

func (v *validator) login(c Config) {
	v.check(!c.Open || len(c.Login) == 0, "open", "an open registry asks for no login: remove open, or remove login")
	seen := map[string]bool{}
	for i, l := range c.Login {
		path := fmt.Sprintf("login[%d]", i)
		kinds := l.kinds()
		if len(kinds) == 0 {
			v.check(false, path, "name an identity source: htpasswd, ldap, oidc, certificate or front")
			continue
		}
		v.check(len(kinds) == 1, path, "one source each: make %s entries of their own", strings.Join(kinds, " and "))
		v.sourceName(path+".name", l.Source(), seen)
		v.source(path, l)
		v.check(l.Certificate == nil || c.TLS.On(), path+".certificate", "certificates are shown only over TLS that ends here: give tls.cert and tls.key; for a proxy that ends it, see front")
	}
	v.check(!c.Open || len(c.Token.Accept) == 0, "open", "an open registry asks for no tokens: remove open, or remove token.accept")
	for i, a := range c.Token.Accept {
		v.sourceName(fmt.Sprintf("token.accept[%d].name", i), a.Source(), seen)
	}
}

func (v *validator) source(path string, l Login) {
	if l.Htpasswd != nil {
		v.check(l.Htpasswd.File != "", path+".htpasswd.file", "name the password file")
	}
	if l.LDAP != nil {
		l.LDAP.Check(v.under(path + ".ldap"))
	}
	if l.OIDC != nil {
		l.OIDC.Check(v.under(path + ".oidc"))
	}
	if l.Certificate != nil {
		l.Certificate.Check(v.under(path + ".certificate"))
	}
	if l.Front != nil {
		l.Front.Check(v.under(path + ".front"))
	}
}

// under reports what a source says of its own keys, which stand at a path.
func (v *validator) under(path string) func(key, problem string) {
	return func(key, problem string) { v.check(false, path+"."+key, "%s", problem) }
}

func (v *validator) sourceName(path, name string, seen map[string]bool) {
	v.check(sourceName.MatchString(name), path, "%q cannot be a name: use lower-case letters, digits, '.', '_' and '-'", name)
	v.check(name != access.RobotSource, path, "%q is the source of robots' keys: give it another name", name)
	v.check(!seen[name], path, "there is another source with the name %q: give one of them another name", name)
	seen[name] = true
}
