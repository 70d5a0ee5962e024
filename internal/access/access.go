// Package access decides who may do what: identities, scopes and the policy.
//
// It is pure: it reads no files and knows no HTTP. Decide is the one function
// that answers whether somebody may do something; everything else asks it.
package access

import (
	"net/netip"
	"time"
)

// Identity is who is asking.
type Identity struct {
	User   string   // "" only for the anonymous identity
	Groups []string // replaced as a whole whenever the source is asked; never merged
	Source string   // the identity source that vouches for it, such as "htpasswd"

	Claims map[string]any // of the token that vouches for it, or of a program of the operator; else nil
	With   *Key           // the key that they came with; nil if they came without one
	Until  time.Time      // the end of the token that they came with; zero if they came without one
}

// Anonymous is the identity of a request without credentials.
func Anonymous() Identity { return Identity{} }

// IsAnonymous reports whether nobody is signed in.
func (i Identity) IsAnonymous() bool { return i.User == "" }

// Key names the identity in stored data, such as the owner of an upload
// session: equal for two requests of the same person, different for two
// persons of the same name from different sources.
func (i Identity) Key() string {
	if i.IsAnonymous() {
		return ""
	}
	return i.Source + ":" + i.User
}

// Action is something that can be done to a repository, or to the registry.
type Action string

// The actions (docs/DESIGN.md, "Access").
const (
	Pull      Action = "pull"      // read blobs, manifests, tags, referrers
	Push      Action = "push"      // upload blobs, put manifests, create tags
	Overwrite Action = "overwrite" // move an existing tag
	Delete    Action = "delete"    // remove tags, manifests, blob links
	List      Action = "list"      // see the repository in the catalog
	Admin     Action = "admin"     // administer the registry
)

// Scope is an action on a resource.
type Scope struct {
	Action Action
	Repo   string // "" for the registry as a whole
	Tag    string // "" if it is about no tag in particular
}

// EveryTag in Scope.Tag asks for all tags at once: for those who cannot tell tags
// apart, such as a registry of others that trusts our tokens.
const EveryTag = "*"

// SomeTag in Scope.Tag asks whether there may be a tag that is allowed: for what
// decides later, tag by tag, such as a token that is a ceiling.
const SomeTag = "?"

// Question is what a policy is asked.
type Question struct {
	Who   Identity
	Scope Scope
	At    Circumstances
}

// Circumstances are what the conditions of rules can see of a request besides
// who asks and for what.
type Circumstances struct {
	Client netip.Addr // the zero value if it is not known
	TLS    bool       // the client speaks TLS, to us or to a trusted proxy
	Agent  string     // its User-Agent
	Time   time.Time
}
