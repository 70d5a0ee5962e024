package access

import (
	"errors"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// facts are what a condition can see.
type facts struct {
	q      Question
	groups []string
}

// Names of the types of the variables who and request.
const (
	whoType     = "moorgate.Who"
	requestType = "moorgate.Request"
)

// fulfilled reports whether the conditions of r let it count. Where that cannot
// be told, because a condition fails or depends on a tag while all tags are asked
// for, a rule that denies counts, and one that allows does not.
func (ix *index) fulfilled(r *rule, q Question) bool {
	f := &facts{q: q, groups: ix.groupsOf(q.Who)}
	return f.test(r.when, true, !r.allow) && !f.test(r.unless, false, r.allow)
}

// test returns the value of c: absent if there is no condition, unsure if its
// value cannot be told.
func (f *facts) test(c *condition, absent, unsure bool) bool {
	if c == nil {
		return absent
	}
	if c.tagAsked && f.q.Scope.Tag == EveryTag {
		return unsure
	}
	if c.tagAsked && f.q.Scope.Tag == SomeTag {
		return !unsure // there may be such a tag
	}
	out, _, err := c.program.Eval(f)
	if err != nil {
		return unsure
	}
	value, ok := out.(types.Bool)
	if !ok {
		return unsure
	}
	return bool(value)
}

// groupsOf returns all groups of somebody, configured and brought along.
func (ix *index) groupsOf(who Identity) []string {
	if who.IsAnonymous() {
		return nil
	}
	configured := ix.configured(who)
	if len(who.Groups) == 0 {
		return configured
	}
	all := slices.Clone(configured)
	for _, g := range who.Groups {
		if !slices.Contains(configured, g) {
			all = append(all, g)
		}
	}
	return all
}

// configured returns the groups that the rules put somebody in: by name, which a
// robot may share with a person.
func (ix *index) configured(who Identity) []string {
	if who.isRobot() {
		return nil
	}
	return ix.memberOf[who.User]
}

// ResolveName returns the value of a variable. It makes facts an Activation of
// CEL.
func (f *facts) ResolveName(name string) (any, bool) {
	switch name {
	case "who", "request":
		return f, true
	case "repo":
		return f.q.Scope.Repo, true
	case "tag":
		return f.q.Scope.Tag, true
	case "claims":
		if f.q.Who.Claims == nil {
			return map[string]any{}, true
		}
		return f.q.Who.Claims, true
	}
	return nil, false
}

// Parent returns nil: there are no other variables.
func (*facts) Parent() interpreter.Activation { return nil }

// withFacts declares the variables. Who and request are objects of fixed fields,
// so that a misspelt one is found before it matters.
func withFacts() cel.EnvOption {
	return func(env *cel.Env) (*cel.Env, error) {
		p := &factTypes{Provider: env.CELTypeProvider(), fields: factFields()}
		for _, option := range []cel.EnvOption{
			cel.CustomTypeProvider(p),
			cel.Variable("who", cel.ObjectType(whoType)),
			cel.Variable("request", cel.ObjectType(requestType)),
			cel.Variable("repo", cel.StringType),
			cel.Variable("tag", cel.StringType),
			cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
		} {
			var err error
			if env, err = option(env); err != nil {
				return nil, err
			}
		}
		return env, nil
	}
}

// factTypes adds the types of who and request to those of CEL.
type factTypes struct {
	types.Provider
	fields map[string]map[string]*types.FieldType
}

// FindStructType returns one of our types, or one of CEL's.
func (p *factTypes) FindStructType(name string) (*types.Type, bool) {
	if _, ours := p.fields[name]; ours {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames returns the names of the fields of a type.
func (p *factTypes) FindStructFieldNames(name string) ([]string, bool) {
	fields, ours := p.fields[name]
	if !ours {
		return p.Provider.FindStructFieldNames(name)
	}
	var names []string
	for field := range fields {
		names = append(names, field)
	}
	slices.Sort(names)
	return names, true
}

// FindStructFieldType returns a field of a type.
func (p *factTypes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	fields, ours := p.fields[name]
	if !ours {
		return p.Provider.FindStructFieldType(name, field)
	}
	found, ok := fields[field]
	return found, ok
}

func factFields() map[string]map[string]*types.FieldType {
	return map[string]map[string]*types.FieldType{
		whoType: {
			"user":   field(types.StringType, func(f *facts) (any, error) { return f.q.Who.User, nil }),
			"source": field(types.StringType, func(f *facts) (any, error) { return f.q.Who.Source, nil }),
			"groups": field(types.NewListType(types.StringType), func(f *facts) (any, error) { return f.groups, nil }),
		},
		requestType: {
			"client": field(types.StringType, client),
			"tls":    field(types.BoolType, func(f *facts) (any, error) { return f.q.At.TLS, nil }),
			"time":   field(types.TimestampType, clock),
			"agent":  field(types.StringType, func(f *facts) (any, error) { return f.q.At.Agent, nil }),
		},
	}
}

// client is the address without a zone, and an IPv4 address as such even if it
// came over an IPv6 socket: otherwise no range would contain it.
func client(f *facts) (any, error) {
	if !f.q.At.Client.IsValid() {
		return nil, errors.New("the address of the client is not known")
	}
	return f.q.At.Client.Unmap().WithZone("").String(), nil
}

func clock(f *facts) (any, error) {
	if f.q.At.Time.IsZero() {
		return nil, errors.New("the time is not known")
	}
	return f.q.At.Time, nil
}

func field(t *types.Type, get func(*facts) (any, error)) *types.FieldType {
	read := func(target any) (any, error) {
		f, ok := target.(*facts)
		if !ok {
			return nil, errors.New("only who and request have this field")
		}
		return get(f)
	}
	return &types.FieldType{
		Type:    t,
		GetFrom: read,
		IsSet: func(target any) bool {
			_, err := read(target)
			return err == nil
		},
	}
}
