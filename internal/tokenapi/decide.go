package tokenapi

import (
	"context"
	"slices"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
)

// operation is what decisions are recorded under.
const operation = "token"

// Actions of a token (Docker token specification, "Resource Actions").
const (
	pull   = "pull"
	push   = "push"
	remove = "delete"
	all    = "*"
)

// petition asks the policy on behalf of one request.
type petition struct {
	api    *API
	ctx    context.Context // of the request
	policy *access.Policy
	gate   bool // the service is behind a gate of ours
	who    access.Identity
	at     access.Circumstances
}

// grants returns what is granted of what was asked for; never nil.
func (p *petition) grants(asked []access.Grant) []access.Grant {
	granted := []access.Grant{}
	for _, g := range asked {
		if g.Actions = p.actions(g); len(g.Actions) > 0 {
			granted = append(granted, g)
		}
	}
	return granted
}

// actions returns the actions of g that are granted. What is not known, or is no
// name that a repository can have, is granted to nobody.
func (p *petition) actions(g access.Grant) []string {
	switch {
	case g.Type == access.RepositoryType && oci.CheckRepository(g.Name) == nil:
		return p.repository(g)
	case g.Type == access.RegistryType && g.Name == access.CatalogName && slices.Contains(g.Actions, all) && p.catalog():
		return []string{all}
	default:
		return nil
	}
}

// repository returns the granted actions on a repository. "*" is granted only
// together with everything that it stands for.
func (p *petition) repository(g access.Grant) []string {
	var granted []string
	everything := slices.Contains(g.Actions, all)
	for _, action := range []string{pull, push, remove} {
		if (everything || slices.Contains(g.Actions, action)) && p.may(action, g.Name) {
			granted = append(granted, action)
		}
	}
	if everything && len(granted) == 3 {
		granted = append(granted, all)
	}
	return granted
}

// may decides one action of a token on one repository.
func (p *petition) may(action, repo string) bool {
	if p.gate {
		return p.any(repo, behindGate(action))
	}
	return p.every(repo, elsewhere(action))
}

// behindGate returns the actions of ours that a gate of ours lets a token action
// be used for (access.Ceiling). One of them is reason enough to grant it: the
// gate asks again.
func behindGate(action string) []access.Action {
	switch action {
	case pull:
		return []access.Action{access.Pull, access.List}
	case push:
		return []access.Action{access.Push, access.Overwrite}
	default:
		return []access.Action{access.Delete}
	}
}

// elsewhere returns the actions of ours that another registry lets a token action
// be used for. Each of them must be allowed, for all tags: nobody asks again, and
// such a registry cannot tell tags apart. That it lists the tags of what may be
// pulled cannot be helped.
func elsewhere(action string) []access.Action {
	switch action {
	case pull:
		return []access.Action{access.Pull}
	case push:
		return []access.Action{access.Push, access.Overwrite}
	default:
		return []access.Action{access.Delete}
	}
}

// any reports whether one of the actions is allowed, for some tag at least.
func (p *petition) any(repo string, actions []access.Action) bool {
	var why access.Decision // of the first one, which the token action is named after
	for i, action := range actions {
		s := access.Scope{Action: action, Repo: repo}
		d := p.decide(s)
		if d.Allowed {
			p.record(s, d)
			return true
		}
		if i == 0 {
			why = d
		}
	}
	p.record(access.Scope{Action: actions[0], Repo: repo}, why)
	return false
}

// every reports whether all of the actions are allowed, for all tags.
func (p *petition) every(repo string, actions []access.Action) bool {
	var s access.Scope
	var d access.Decision
	for _, action := range actions {
		s = access.Scope{Action: action, Repo: repo, Tag: access.EveryTag}
		if d = p.decide(s); !d.Allowed {
			break
		}
	}
	p.record(s, d)
	return d.Allowed
}

// catalog decides whether the list of repositories may be seen. A gate of ours
// shows each caller only what they may list. Other registries show all names to
// whoever has this grant, so that it is for those who administer the registry.
func (p *petition) catalog() bool {
	s := access.Scope{Action: access.Admin}
	if p.gate {
		s.Action = access.List
	}
	d := p.decide(s)
	p.record(s, d)
	return d.Allowed
}

// decide asks the policy. Behind a gate it is enough that some tag is allowed.
func (p *petition) decide(s access.Scope) access.Decision {
	q := access.Question{Who: p.who, Scope: s, At: p.at}
	d := p.policy.Decide(q)
	if !d.Allowed && p.gate && s.Repo != "" && p.api.Some != nil && p.api.Some(p.policy, q) {
		return access.Decision{Allowed: true, Rule: "allowed for some tags"}
	}
	return d
}

func (p *petition) record(s access.Scope, d access.Decision) {
	outcome := audit.Denied
	if d.Allowed {
		outcome = audit.Allowed
	}
	p.api.Audit(p.ctx, audit.Record{
		RequestID: reqctx.ID(p.ctx), Client: p.at.Client, Who: p.who,
		Scope: s, Operation: operation, Outcome: outcome, Rule: d.Rule,
	})
}
