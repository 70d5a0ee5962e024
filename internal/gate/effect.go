package gate

import (
	"net/http"
	"slices"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/route"
	"github.com/moorgate/moorgate/internal/wire"
)

// effects are what a call may change for others, as far as it was asked about. They
// are recorded when it is known what has come of them, each once.
type effects struct {
	allowed []effect
	from    string // the repository that a blob may be mounted from
	refused bool   // one of them was, which is on record
	over    bool   // they are on record
}

// effect is a right that was asked for and is there.
type effect struct {
	scope access.Scope
	rule  string
}

// add takes an effect. That a tag is moved says that it is pushed to.
func (e *effects) add(s access.Scope, rule string) {
	if s.Action == access.Pull {
		e.from = s.Repo
		return
	}
	same := func(old effect) bool {
		moved := old.scope.Action == access.Push && s.Action == access.Overwrite
		return old.scope == s || moved && old.scope.Repo == s.Repo && old.scope.Tag == s.Tag
	}
	if i := slices.IndexFunc(e.allowed, same); i >= 0 {
		e.allowed[i] = effect{s, rule}
		return
	}
	e.allowed = append(e.allowed, effect{s, rule})
}

// changes reports whether a request changes what others see. Those that only come
// closer to it, such as the parts of an upload, do not.
func changes(q *route.Request) bool {
	switch q.Kind {
	case route.UploadFinish, route.ManifestPut, route.ManifestDelete, route.BlobDelete:
		return true
	case route.UploadStart:
		return q.Mount != "" || q.Digest != ""
	default:
		return false
	}
}

// Did records that what the call was allowed to change is changed: with the digest
// of the content, "" for the one that the request names. Handlers call it before
// the client learns of it, so that whoever has an answer finds its record. Without
// it there is a record that it failed.
func (c *Call) Did(d oci.Digest) {
	c.conclude(audit.Record{Outcome: audit.Done, Digest: d})
}

// DidNot is Did for what has failed somewhere else, with the status that came from
// there.
func (c *Call) DidNot(status int) {
	c.conclude(audit.Record{Outcome: outcomeOf(status), Status: status})
}

// ended records what a handler has left open that returned err. Where an upload
// begins instead of a mount, nothing has happened yet.
func (c *Call) ended(err error) {
	if err == nil && c.Request.Kind == route.UploadStart {
		return
	}
	status, code := wire.Code(err)
	c.conclude(audit.Record{Outcome: outcomeOf(status), Status: status, Code: code})
}

// outcomeOf says what an error means for what should have happened: with some it may
// have happened, and only the answer is missing.
func outcomeOf(status int) audit.Outcome {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return audit.Unknown
	default:
		return audit.Failed
	}
}

// conclude records the effects of the call, once. Where one of them was refused none
// has happened, and that is on record.
func (c *Call) conclude(how audit.Record) {
	if c.effects.over || c.effects.refused || !changes(c.Request) {
		return
	}
	c.effects.over = true
	if how.Digest == "" {
		how.Digest = named(c.Request)
	}
	how.From = c.effects.from
	for _, e := range c.effects.allowed {
		how.Scope, how.Rule = e.scope, e.rule
		c.write(how)
	}
}

// named returns the digest that a request names; "" if it names none.
func named(q *route.Request) oci.Digest {
	for _, d := range []oci.Digest{q.Mount, q.Digest, q.Reference.Digest} {
		if d != "" {
			return d
		}
	}
	return ""
}

// record takes a decision: what may be changed waits for what comes of it.
func (c *Call) record(s access.Scope, d access.Decision) {
	switch {
	case !d.Allowed:
		c.effects.refused = c.effects.refused || s.Action != access.Pull // a mount without its source is an upload
		c.write(audit.Record{Scope: s, Rule: d.Rule, Outcome: audit.Denied, Digest: named(c.Request)})
	case changes(c.Request):
		c.effects.add(s, d.Rule)
	default:
		c.write(audit.Record{Scope: s, Rule: d.Rule, Outcome: audit.Allowed, Digest: named(c.Request)})
	}
}

// write adds to a record whose it is.
func (c *Call) write(r audit.Record) {
	r.RequestID, r.Client, r.Who = reqctx.ID(c.ctx), c.at.Client, c.Who
	r.Operation = c.Request.Kind.String()
	c.audit(c.ctx, r)
}
