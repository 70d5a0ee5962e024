package app

import (
	"context"

	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/filewatch"
)

// keeper keeps something in step with its file. When the file is bad, the last
// good one stays in force.
type keeper struct {
	what   string
	file   string
	watch  *filewatch.Watcher
	reload func() error
	own    bool // reload puts itself on record
}

// renew reads again what a keeper keeps.
func (s *Server) renew(ctx context.Context, k keeper) {
	outcome := audit.Done
	if err := k.reload(); err != nil {
		outcome = audit.Failed
		s.log.ErrorContext(ctx, "cannot reload "+k.what+": the last good one stays in force", "file", k.file, "err", err)
	} else {
		s.log.InfoContext(ctx, "reloaded "+k.what, "file", k.file)
	}
	if !k.own {
		s.auditor.change(ctx, "reload", outcome, k.what+" from "+k.file)
	}
}
