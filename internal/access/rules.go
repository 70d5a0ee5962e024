package access

// Rules is a policy as operators write it. docs/configuration.md explains it.
//
// The order of the rules means nothing. What no rule allows is denied. A rule
// that denies wins over all that allow.
type Rules struct {
	Groups map[string][]string `yaml:"groups"` // group name to user names
	Rules  []Rule              `yaml:"rules"`  // in any order

	// OutsideGroups says that groups come from a login source too: rules may
	// then name groups that are not in Groups.
	OutsideGroups bool `yaml:"-"`
}

// Rule allows or denies. Exactly one of May and Deny is set.
//
// # Who
//
// "*" is everybody, whether signed in or not; "user:*" whoever is signed in;
// "anonymous" whoever is not. In "user:GLOB", * stands for any characters.
// "group:NAME" has the users of Rules.Groups, and those whose Identity.Groups
// names it; nobody who is not signed in is in a group.
//
// # Actions
//
// push includes overwrite, and pull includes list, in May and in Deny alike: who
// may not push may not overwrite either. Not the other way round. "*" is every
// action, admin too.
//
// # Repositories
//
// In a component (between two slashes) stand *, ?, [a-z], [!a-z] and {a,b}; ** as
// a component stands for any number of them, zero too: team/** is team/app,
// team/a/b and team. ${user} stands for the name of the caller, taken literally. A
// name that cannot be a component of a repository name, such as one with an
// upper-case letter, a slash or an @, makes the glob match nothing; so does
// having no name. Repos may be left out if the action is admin alone: that means
// all of them.
//
// The registry as a whole (Scope.Repo is empty) can be listed by whom a rule lets
// list any repository; conditions and denials are looked at for each entry.
// It can be administered by whom a rule gives the action admin by name, or "*" on
// all repositories, "**". Nothing else can be done with it.
//
// # Tags
//
// Without Tags a rule is about all tags, and about what has no tag.
// With Tags it is about those. Of what is about no tag in particular, such as a
// blob or a manifest by its digest, a rule with Tags allows to pull, push and
// list, for these need it, but not to delete: that takes more than the tags
// named. It denies nothing of it. When EveryTag is asked for, a rule allows only
// if it does not depend on the tag, and denies even if it is about some tags.
// When SomeTag is asked for, it is the other way round: a rule allows if it does
// so for any tag, and denies only if it does so for all.
//
// # Conditions
//
// When and Unless are in the Common Expression Language (cel.dev), over
//
//	who.user, who.source   string         "" if nobody is signed in
//	who.groups             list(string)   those of Rules.Groups included
//	request.client         string         the address; an error if it is not known
//	request.tls            bool
//	request.time           timestamp      an error if it is not known
//	request.agent          string         the User-Agent
//	repo, tag              string         "" if it is about none in particular
//	claims                 map(string, dyn)   of the token; empty if there is none
//
// and its network library: cidr("10.0.0.0/8").containsIP(request.client).
// A condition that cannot be evaluated makes a rule that allows not count, and
// one that denies count, be it in When or in Unless. The same holds for one that
// mentions tag when EveryTag is asked for.
type Rule struct {
	Who     []string `yaml:"who"`     // "*", "anonymous", "user:NAME", "user:*", "group:NAME"
	May     []string `yaml:"may"`     // actions, or "*"
	Deny    []string `yaml:"deny"`    // actions, or "*"
	Repos   []string `yaml:"repos"`   // globs: * inside a path component, ** across; ${user} is the caller's name
	Tags    []string `yaml:"tags"`    // globs; none: all tags
	When    string   `yaml:"when"`    // CEL: the rule counts only where this is true
	Unless  string   `yaml:"unless"`  // CEL: the rule does not count where this is true
	Because string   `yaml:"because"` // for people: why
}
