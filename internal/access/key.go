package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// RobotSource is Identity.Source of robots: of keys that stand for nobody but
// themselves.
const RobotSource = "key"

// maxPermissions bounds how many entries say what a key may.
const maxPermissions = 100

// Key is what somebody signed in with instead of a password, and what it may be used
// for. It only ever narrows what its owner may. The zero value may be used for
// nothing. It is immutable.
type Key struct {
	ID    string // no secret
	Name  string // as its owner calls it
	Robot bool   // it has no owner: it may what it was made for, unless a rule denies that

	everything bool   // but administering the registry
	may        *index // nil allows nothing
	allows     string // the reason of its allowance; "" if it allows nothing
}

// NewKey returns a key that may be used for what the entries of may say: actions and
// repositories as rules have them, such as "pull,push:team/**". "*" is every action
// but admin, which is named by itself: "admin". Without any entry it may be used for
// everything else that its owner may; a robot needs one.
//
// The error says all that is wrong with them.
func NewKey(id, name string, robot bool, may []string) (*Key, error) {
	k := &Key{ID: id, Name: name, Robot: robot, allows: fmt.Sprintf("the key %s allows it", oneLine(name))}
	switch {
	case len(may) > maxPermissions:
		return nil, fmt.Errorf("a key has at most %d entries of what it may, and this one would have %d", maxPermissions, len(may))
	case len(may) == 0 && robot:
		return nil, errors.New("say what the key may, such as pull,push:team/app: without a user it has no rights but those")
	case len(may) == 0:
		k.everything = true
		return k, nil
	}
	var rules []Rule
	var wrong []error
	for _, entry := range may {
		r, err := readPermission(entry)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%q: %w", cut(entry), err))
			continue
		}
		rules = append(rules, r)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	policy, mistakes := Compile(Rules{Rules: rules})
	if policy == nil {
		return nil, wrongPermissions(may, mistakes)
	}
	k.may = policy.rules
	return k, nil
}

// readPermission reads one entry of what a key may.
func readPermission(entry string) (Rule, error) {
	names, repo, found := strings.Cut(entry, ":")
	r := Rule{Who: []string{"*"}, May: strings.Split(names, ",")}
	switch {
	case strings.Contains(repo, ":"):
		return Rule{}, errors.New("a key is for repositories, and not for tags: leave out what stands behind the second colon")
	case found:
		r.Repos = []string{repo}
	case names != string(Admin):
		return Rule{}, errors.New("write actions and repositories, such as pull,push:team/app, or admin")
	}
	if slices.Contains(r.May, "*") { // who administers says so
		r.May = append(r.May, string(Pull), string(Push), string(Delete))
		r.May = slices.DeleteFunc(r.May, func(a string) bool { return a == "*" })
	}
	return r, nil
}

// wrongPermissions words what the compiler found wrong with entries.
func wrongPermissions(may []string, mistakes []Mistake) error {
	var wrong []error
	for _, m := range mistakes {
		var i int
		if _, err := fmt.Sscanf(m.Path, "rules[%d]", &i); err == nil && !m.Warning && i < len(may) {
			wrong = append(wrong, fmt.Errorf("%q: %s", cut(may[i]), m.Message))
		}
	}
	return errors.Join(wrong...)
}

// isRobot reports whether a key stands for itself.
func (i Identity) isRobot() bool { return i.With != nil && i.With.Robot }

// narrow returns what becomes of the decision about the owner of k.
func (k *Key) narrow(q *Question, owner Decision) Decision {
	switch {
	case !owner.Allowed || k.everything && q.Scope.Action != Admin:
		return owner
	case k.may != nil && k.may.decide(q).Allowed:
		return owner
	}
	return Decision{Rule: k.refusal()}
}

func (k *Key) refusal() string {
	if k.Name == "" {
		return "the key does not allow it"
	}
	return fmt.Sprintf("the key %s does not allow it", oneLine(k.Name))
}
