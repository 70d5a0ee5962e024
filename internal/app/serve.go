package app

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/moorgate/moorgate/internal/blob/disk"
	hotblob "github.com/moorgate/moorgate/internal/blob/hot"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/datadir"
	"github.com/moorgate/moorgate/internal/distapi"
	"github.com/moorgate/moorgate/internal/gc"
	"github.com/moorgate/moorgate/internal/meta"
	hotmeta "github.com/moorgate/moorgate/internal/meta/hot"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/registry"
)

// Serve opens a registry behind the gate. What a new user should see goes to out.
// The caller runs the server, or closes it.
func Serve(ctx context.Context, src Source, log *slog.Logger, out io.Writer) (*Server, error) {
	s := newServer(config.Serve, src, log)
	var api *distapi.API
	var store meta.Store
	return s.open(
		func() (err error) { api, store, err = s.openRegistry(ctx); return err },
		s.openTLS,
		func() error { return s.listen(ctx) },
		// Last, for it may make a first user, whose password is shown only once: a
		// start that fails must not.
		func() error {
			return s.openDoors(ctx, doors{next: api, sessions: api, store: store, ready: ready(store), out: out})
		},
	)
}

// openRegistry opens the data directory and the stores in it.
func (s *Server) openRegistry(ctx context.Context) (*distapi.API, meta.Store, error) {
	store, err := s.openData(ctx, "registry.db")
	if err != nil {
		return nil, nil, err
	}
	files, err := disk.Open(disk.Config{Dir: s.cfg.Data})
	if err != nil {
		return nil, nil, err
	}
	// The data directory is ours alone, and so are both stores.
	store = hotmeta.New(store)
	blobs := hotblob.New(files)
	janitor := &gc.Uploads{
		Blobs: blobs, Meta: store, Log: s.log, Now: time.Now,
		Every: 10 * time.Minute, Expiry: s.cfg.Limits.UploadExpiry,
	}
	s.tasks = append(s.tasks, janitor.Run)
	reg := registry.New(blobs, store, registry.Options{
		Sparse: s.cfg.Registry.Sparse, NoDelete: !s.cfg.Registry.Delete,
		UploadsPerOwner: s.cfg.Limits.UploadsPerUser, UploadExpiry: s.cfg.Limits.UploadExpiry,
	})
	return &distapi.API{Registry: reg}, store, nil
}

// openData takes the data directory and opens the database in it.
func (s *Server) openData(ctx context.Context, database string) (meta.Store, error) {
	dir, err := datadir.Open(s.cfg.Data)
	if err != nil {
		return nil, err
	}
	s.later(dir)
	store, err := sqlmeta.OpenSQLite(ctx, sqlmeta.SQLite{Path: filepath.Join(s.cfg.Data, database)})
	if err != nil {
		return nil, err
	}
	s.later(store)
	return store, nil
}

// ready asks the database whether it answers.
func ready(store meta.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		return store.View(ctx, func(tx meta.Tx) error {
			_, err := tx.Catalog("", 1)
			return err
		})
	}
}
