package app

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/gate"
)

func TestWhatTheAuditLogHas(t *testing.T) {
	t.Parallel()
	alice := access.Identity{User: "alice", Source: "htpasswd"}
	here := netip.MustParseAddr("192.0.2.1")
	operator := access.Identity{User: "operator", Source: control.Source}
	pull := access.Scope{Action: access.Pull, Repo: "team/app", Tag: "v1"}
	for name, c := range map[string]struct {
		record audit.Record
		want   string // what its line has; "": it has none
	}{
		"allowed":                    {audit.Record{Who: alice, Scope: pull, Outcome: audit.Allowed}, ""},
		"done":                       {audit.Record{Who: alice, Scope: pull, Outcome: audit.Done}, ""},
		"failed":                     {audit.Record{Who: alice, Scope: pull, Outcome: audit.Failed}, ""},
		"nobody knows":               {audit.Record{Who: alice, Scope: pull, Outcome: audit.Unknown}, ""},
		"denied":                     {audit.Record{Who: alice, Scope: pull, Outcome: audit.Denied, Rule: access.NoRule}, `level=WARN msg=audit outcome=denied id=R client=192.0.2.1 user=alice operation=x action=pull repo=team/app tag=v1 rule="no rule allows it"`},
		"denied by a token":          {audit.Record{Who: alice, Scope: pull, Outcome: audit.Denied, Rule: gate.BeyondToken}, "user=alice"},
		"not signed in yet":          {audit.Record{Scope: pull, Outcome: audit.Denied, Rule: access.NoRule}, "level=DEBUG msg=audit outcome=denied"},
		"not signed in yet, a token": {audit.Record{Scope: pull, Outcome: audit.Denied, Rule: gate.BeyondToken}, "level=DEBUG"},
		"not signed in, no rules":    {audit.Record{Scope: pull, Outcome: audit.Denied, Rule: access.OnlyUsers}, "level=DEBUG"},
		"no token, no rules":         {audit.Record{Scope: pull, Outcome: audit.Denied, Rule: access.OnlyTokens}, "level=DEBUG"},
		"denied to anybody":          {audit.Record{Scope: pull, Outcome: audit.Denied, Rule: "rule 2: not you"}, `user="" operation=x action=pull repo=team/app tag=v1 rule="rule 2: not you"`},
		"a wrong password":           {audit.Record{Who: alice, Outcome: audit.LoginFailed}, "level=WARN msg=audit outcome=login-failed"},
		"a change of the operator":   {audit.Record{Who: operator, Scope: access.Scope{Action: access.Admin}, Outcome: audit.Done, Detail: "removed k"}, `level=INFO msg=audit outcome=done id=R client="" user=operator operation=x action=admin repo="" tag="" rule="" detail="removed k"`},
	} {
		var log bytes.Buffer
		c.record.RequestID, c.record.Operation = "R", "x"
		if c.record.Who.Source != control.Source { // a socket has no address
			c.record.Client = here
		}
		auditLog(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))(t.Context(), c.record)
		if got := log.String(); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
