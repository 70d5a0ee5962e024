package app

import (
	"context"
	"log/slog"

	"github.com/moorgate/moorgate/internal/filewatch"
)

// keeper keeps something in step with its file. When the file is bad, the last
// good one stays in force.
type keeper struct {
	what   string
	file   string
	watch  *filewatch.Watcher
	reload func() error
}

func (k keeper) run(ctx context.Context, log *slog.Logger) {
	k.watch.Run(ctx, func() { k.reloadAndLog(log) })
}

func (k keeper) reloadAndLog(log *slog.Logger) {
	if err := k.reload(); err != nil {
		log.Error("cannot reload "+k.what+": the last good one stays in force", "file", k.file, "err", err)
		return
	}
	log.Info("reloaded "+k.what, "file", k.file)
}
