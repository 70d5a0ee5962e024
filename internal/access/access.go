// Package access decides who may do what: identities, scopes and the policy.
//
// It is pure: it reads no files and knows no HTTP. Decide is the one function
// that answers whether somebody may do something; everything else asks it.
package access

// Identity is who is asking.
type Identity struct {
	User   string   // "" only for the anonymous identity
	Groups []string // replaced as a whole whenever the source is asked; never merged
	Source string   // the identity source that vouches for it, such as "htpasswd"
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
