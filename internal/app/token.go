package app

import (
	"context"
	"io"
	"log/slog"

	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/meta"
)

// Token opens a token server: it stands in front of nothing, and registries of
// others trust its tokens. The caller runs the server, or closes it.
func Token(ctx context.Context, src Source, log *slog.Logger, out io.Writer) (*Server, error) {
	s := newServer(config.Token, src, log)
	var store meta.Store
	return s.open(
		func() (err error) { store, err = s.openData(ctx, "tokens.db"); return err },
		s.openTLS,
		func() error { return s.listen(ctx) },
		func() error { return s.openDoors(ctx, doors{store: store, ready: ready(store), out: out}) },
	)
}
