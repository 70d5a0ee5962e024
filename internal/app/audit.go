package app

import (
	"context"
	"log/slog"
	"slices"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/gate"
)

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
