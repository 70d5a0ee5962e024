package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn/clientcert"
	"github.com/moorgate/moorgate/internal/authn/command"
	"github.com/moorgate/moorgate/internal/authn/front"
	"github.com/moorgate/moorgate/internal/authn/ldap"
	"github.com/moorgate/moorgate/internal/authn/oidc"
	"github.com/moorgate/moorgate/internal/authn/webhook"
)

// Login is one identity source; exactly one field besides the name is set.
type Login struct {
	Name        string       `yaml:"name"` // Identity.Source, as Source returns it
	Htpasswd    *Htpasswd    `yaml:"htpasswd"`
	LDAP        *LDAP        `yaml:"ldap"`
	OIDC        *OIDC        `yaml:"oidc"`
	Certificate *Certificate `yaml:"certificate"`
	Front       *Front       `yaml:"front"`
	Exec        *Exec        `yaml:"exec"`
	Webhook     *Webhook     `yaml:"webhook"`
}

// The kinds of sources, each with its keys.
type (
	Htpasswd struct {
		File string `yaml:"file"` // of users and password hashes
	}
	LDAP        struct{ ldap.Config }       // a directory
	OIDC        struct{ oidc.Config }       // an issuer of tokens for machines
	Certificate struct{ clientcert.Config } // those who show a certificate when they connect
	Front       struct{ front.Config }      // those whom a proxy in front of us has let in
	Exec        struct{ command.Config }    // a program that is run for each login
	Webhook     struct{ webhook.Config }    // a service that is asked for each login
)

func (l *LDAP) setDefaults()        { l.Config = ldap.Default() }
func (o *OIDC) setDefaults()        { o.Config = oidc.Default() }
func (c *Certificate) setDefaults() { c.Config = clientcert.Default() }
func (f *Front) setDefaults()       { f.Config = front.Default() }
func (e *Exec) setDefaults()        { e.Config = command.Default() }
func (w *Webhook) setDefaults()     { w.Config = webhook.Default() }

// kind is what the keys of all kinds of sources can tell.
type kind interface {
	// Check reports what is wrong with them.
	Check(report func(key, problem string))

	// namesGroups reports whether the source says which groups somebody is in.
	namesGroups() bool
}

// Check reports what is wrong.
func (h *Htpasswd) Check(report func(key, problem string)) {
	if h.File == "" {
		report("file", "name the password file")
	}
}

func (h *Htpasswd) namesGroups() bool    { return false }
func (l *LDAP) namesGroups() bool        { return l.Groups.Attribute != "" || l.Groups.Base != "" }
func (o *OIDC) namesGroups() bool        { return o.Groups != oidc.Default().Groups }
func (c *Certificate) namesGroups() bool { return c.Groups != "" }
func (f *Front) namesGroups() bool       { return f.Groups != "" }
func (e *Exec) namesGroups() bool        { return true }
func (w *Webhook) namesGroups() bool     { return true }

// named is a kind with its name in the file.
type named struct {
	name string
	kind kind
}

// kinds returns what is set: one, unless there is a mistake.
func (l Login) kinds() []named {
	var list []named
	list = given(list, "htpasswd", l.Htpasswd)
	list = given(list, "ldap", l.LDAP)
	list = given(list, "oidc", l.OIDC)
	list = given(list, "certificate", l.Certificate)
	list = given(list, "front", l.Front)
	list = given(list, "exec", l.Exec)
	return given(list, "webhook", l.Webhook)
}

func given[T any, P interface {
	*T
	kind
}](list []named, name string, keys P) []named {
	if keys == nil {
		return list
	}
	return append(list, named{name, keys})
}

// Source is the name of the source in identities: the one that was given, else
// its kind.
func (l Login) Source() string {
	if kinds := l.kinds(); l.Name == "" && len(kinds) > 0 {
		return kinds[0].name
	}
	return l.Name
}

// namesGroups reports whether the source says which groups somebody is in.
func (l Login) namesGroups() bool {
	return slices.ContainsFunc(l.kinds(), func(n named) bool { return n.kind.namesGroups() })
}

// sourceName is what identity sources may be called: it stands before a user
// name, with a colon between.
var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

func (v *validator) login(c Config) {
	v.check(!c.Open || len(c.Login) == 0, "open", "an open registry asks for no login: remove open, or remove login")
	seen := map[string]bool{}
	for i, l := range c.Login {
		path := fmt.Sprintf("login[%d]", i)
		if v.source(path, l) {
			v.sourceName(path+".name", l.Source(), seen)
		}
		v.check(l.Certificate == nil || c.TLS.On(), path+".certificate", "certificates are shown only over TLS that ends here: give tls.cert and tls.key; for a proxy that ends it, see front")
	}
	v.check(!c.Open || len(c.Token.Accept) == 0, "open", "an open registry asks for no tokens: remove open, or remove token.accept")
	for i, a := range c.Token.Accept {
		v.sourceName(fmt.Sprintf("token.accept[%d].name", i), a.Source(), seen)
	}
}

// source checks one source, and reports whether it is of any kind.
func (v *validator) source(path string, l Login) bool {
	var names []string
	for _, n := range l.kinds() {
		names = append(names, n.name)
		n.kind.Check(func(key, problem string) { v.check(false, path+"."+n.name+"."+key, "%s", problem) })
	}
	v.check(len(names) > 0, path, "name an identity source: htpasswd, ldap, oidc, certificate, front, exec or webhook")
	v.check(len(names) < 2, path, "one source each: make %s entries of their own", strings.Join(names, " and "))
	return len(names) > 0
}

// Names in the metrics of what we have issued: no source may have one of them.
const (
	OwnTokens   = "own"     // tokens for registries
	OwnSessions = "session" // sessions of the command line and the credential helper
)

// Sources of the operator in the audit: who is called operator in another source of
// that name would look the same.
const (
	OperatorCommands = "control" // commands, by the control socket
	OperatorFiles    = "file"    // files that were changed, start and stop
)

func (v *validator) sourceName(path, name string, seen map[string]bool) {
	v.check(sourceName.MatchString(name), path, "%q cannot be a name: use lower-case letters, digits, '.', '_' and '-'", name)
	v.check(name != access.RobotSource, path, "%q is the source of robots' keys: give it another name", name)
	v.check(name != OwnTokens && name != OwnSessions, path, "%q is the name of what this server issues itself: give it another name", name)
	v.check(name != OperatorCommands && name != OperatorFiles, path, "%q is the source of the operator in the audit: give it another name", name)
	v.check(!seen[name], path, "there is another source with the name %q: give one of them another name", name)
	seen[name] = true
}
