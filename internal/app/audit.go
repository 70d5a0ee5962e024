package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/audit/trail"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/process"
	"github.com/moorgate/moorgate/internal/route"
)

// auditor takes all records of a server.
type auditor struct {
	log    audit.Func
	trail  *trail.Trail // nil: it is not open
	damper *audit.Damper
	print  string     // of the policy at the start
	runs   bool       // the start is on record
	left   func() int // requests that are still under way
}

// openAudit opens the outputs of the audit.
func (s *Server) openAudit(stdout io.Writer) error {
	t, err := trail.Open(s.cfg.Audit, trail.Options{Log: s.log, Now: time.Now, Stdout: stdout})
	if err != nil {
		return err
	}
	s.auditor = auditor{log: auditLog(s.log), trail: t, left: s.inflight.count}
	s.auditor.damper = audit.NewDamper(s.auditor.write, time.Now)
	s.tasks = append(s.tasks, s.auditor.tellOfFloods)
	return nil
}

// record is an audit.Func.
func (a *auditor) record(ctx context.Context, r audit.Record) {
	if unsigned(r) {
		a.log(ctx, r)
		return
	}
	a.damper.Record(ctx, r)
}

// write is an audit.Func for what the damper has let through.
func (a *auditor) write(ctx context.Context, r audit.Record) {
	a.log(ctx, r)
	a.trail.Record(ctx, r)
}

// tellEvery is how often it is looked whether there is more to tell of failed logins.
const tellEvery = 10 * time.Second

// tellOfFloods tells of failed logins that were too many, until ctx ends.
func (a *auditor) tellOfFloods(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.damper.Tell(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// fileSource is the access.Identity.Source of the operator who changes things by
// files and signals.
const fileSource = config.OperatorFiles

// change records what the operator has changed.
func (a *auditor) change(ctx context.Context, operation string, outcome audit.Outcome, detail string) {
	a.record(ctx, audit.Record{
		Who: access.Identity{User: "operator", Source: fileSource}, Operation: operation, Outcome: outcome, Detail: detail,
	})
}

// started records that the server begins to answer.
func (a *auditor) started(ctx context.Context, s *Server) {
	a.runs = true
	a.change(ctx, "server-start", audit.Done, fmt.Sprintf("moorgate %s %s, policy %s", s.role, process.Version(), a.print))
}

// reopen opens the file of the audit anew.
func (a *auditor) reopen(log *slog.Logger) {
	if err := a.trail.Reopen(); err != nil {
		log.Error("cannot reopen the audit", "err", err)
	}
}

// Close records the end, and closes the outputs. What requests have done that go on
// after that is not recorded: how many that are is.
func (a *auditor) Close() error {
	if a.trail == nil {
		return nil
	}
	a.damper.TellAll(context.Background())
	if a.runs {
		detail := ""
		if n := a.left(); n > 0 {
			detail = fmt.Sprintf("%d requests were cut off and had not ended: what they have done is not on record", n)
		}
		a.change(context.Background(), "server-stop", audit.Done, detail)
	}
	return a.trail.Close()
}

// witness passes requests on, but those that change something only while the audit
// can be written.
type witness struct {
	next  gate.Handler
	ready func() error
}

var _ gate.Handler = (*witness)(nil)

// witnessed puts a witness before a handler where the audit is required.
func (s *Server) witnessed(next gate.Handler) gate.Handler {
	if next == nil || !s.cfg.Audit.Required {
		return next
	}
	return &witness{next, s.auditor.trail.Ready}
}

// ServeOCI passes the request on.
func (h *witness) ServeOCI(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	switch c.Request.Kind {
	case route.UploadStart, route.UploadFinish, route.ManifestPut, route.ManifestDelete, route.BlobDelete:
		if err := h.ready(); err != nil {
			return oci.Errorf(oci.Unavailable, "this cannot be recorded now, so it cannot be done: try again later, or tell the operator").Because(err)
		}
	default: // it changes nothing
	}
	return h.next.ServeOCI(w, r, c)
}

// auditLog writes to the log what was refused, and what the operator has changed.
// What others were allowed, and have done, stands in the access log. That somebody
// has to sign in first is for those who look closely.
func auditLog(log *slog.Logger) audit.Func {
	return func(ctx context.Context, r audit.Record) {
		level := slog.LevelWarn
		switch {
		case r.Outcome == audit.Done && r.Who.Source == control.Source:
			level = slog.LevelInfo
		case unsigned(r):
			level = slog.LevelDebug
		case r.Outcome != audit.Denied && r.Outcome != audit.LoginFailed:
			return
		}
		client := "" // the operator has no address
		if r.Client.IsValid() {
			client = r.Client.String()
		}
		log.Log(ctx, level, "audit", "outcome", r.Outcome, "id", r.RequestID, "client", client,
			"user", r.Who.User, "operation", r.Operation, "action", r.Scope.Action,
			"repo", r.Scope.Repo, "tag", r.Scope.Tag, "rule", r.Rule, "detail", r.Detail)
	}
}

// unsigned reports whether somebody was refused for want of a name: the first
// request of every client comes without credentials. What a rule denies to anybody
// is something else.
func unsigned(r audit.Record) bool {
	return r.Outcome == audit.Denied && r.Who.IsAnonymous() &&
		slices.Contains([]string{access.NoRule, access.OnlyUsers, access.OnlyTokens, gate.BeyondToken}, r.Rule)
}
