package config

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/moorgate/moorgate/internal/authn/command"
	"github.com/moorgate/moorgate/internal/authn/ldap"
	"github.com/moorgate/moorgate/internal/authn/webhook"
)

// Login is one identity source; exactly one field besides the name is set.
type Login struct {
	Name     string    `yaml:"name"` // Identity.Source, as Source returns it
	Htpasswd *Htpasswd `yaml:"htpasswd"`
	LDAP     *LDAP     `yaml:"ldap"`
	Exec     *Exec     `yaml:"exec"`
	Webhook  *Webhook  `yaml:"webhook"`
}

// Htpasswd is a file of users and password hashes.
type Htpasswd struct {
	File string `yaml:"file"`
}

// LDAP is a directory.
type LDAP struct{ ldap.Config }

func (l *LDAP) setDefaults() { l.Config = ldap.Default() }

// Exec is a program that is run for each login.
type Exec struct{ command.Config }

func (e *Exec) setDefaults() { e.Config = command.Default() }

// Webhook is a service that is asked for each login.
type Webhook struct{ webhook.Config }

func (w *Webhook) setDefaults() { w.Config = webhook.Default() }

// kinds returns what sort of source it is: one name, unless there is a mistake.
func (l Login) kinds() (names []string) {
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"htpasswd", l.Htpasswd != nil},
		{"ldap", l.LDAP != nil},
		{"exec", l.Exec != nil},
		{"webhook", l.Webhook != nil},
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
	return l.Exec != nil || l.Webhook != nil ||
		l.LDAP != nil && (l.LDAP.Groups.Attribute != "" || l.LDAP.Groups.Base != "")
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
			v.check(false, path, "name an identity source: htpasswd, ldap, exec or webhook")
			continue
		}
		v.check(len(kinds) == 1, path, "one source each: make %s entries of their own", strings.Join(kinds, " and "))
		v.sourceName(path+".name", l.Source(), seen)
		v.source(path, l)
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
	report := func(kind string) func(key, problem string) {
		return func(key, problem string) { v.check(false, path+"."+kind+"."+key, "%s", problem) }
	}
	if l.LDAP != nil {
		l.LDAP.Check(report("ldap"))
	}
	if l.Exec != nil {
		l.Exec.Check(report("exec"))
	}
	if l.Webhook != nil {
		l.Webhook.Check(report("webhook"))
	}
}

func (v *validator) sourceName(path, name string, seen map[string]bool) {
	v.check(sourceName.MatchString(name), path, "%q cannot be a name: use lower-case letters, digits, '.', '_' and '-'", name)
	v.check(!seen[name], path, "there is another source with the name %q: give one of them another name", name)
	seen[name] = true
}
