package app

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
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
	var blobs *gc.Blobs
	return s.open(
		func() (err error) { api, store, blobs, err = s.openRegistry(ctx); return err },
		s.openTLS,
		func() error { return s.listen(ctx) },
		// Last, for it may make a first user, whose password is shown only once: a
		// start that fails must not.
		func() error {
			return s.openDoors(ctx, doors{next: &relief{api, blobs.Wake}, sessions: api, store: store, ready: ready(store), out: out})
		},
	)
}

// openRegistry opens the data directory, the stores in it, and what cleans up there.
func (s *Server) openRegistry(ctx context.Context) (*distapi.API, meta.Store, *gc.Blobs, error) {
	store, err := s.openData(ctx, "registry.db")
	if err != nil {
		return nil, nil, nil, err
	}
	files, err := disk.Open(disk.Config{Dir: s.cfg.Data})
	if err != nil {
		return nil, nil, nil, err
	}
	// The data directory is ours alone, and so are both stores.
	store = hotmeta.New(store)
	blobs := hotblob.New(files)
	unheld := s.openJanitor(blobs, store)
	reg := registry.New(blobs, store, registry.Options{
		Sparse: s.cfg.Registry.Sparse, NoDelete: !s.cfg.Registry.Delete,
		UploadsPerOwner: s.cfg.Limits.UploadsPerUser, UploadExpiry: s.cfg.Limits.UploadExpiry,
		FreeAfter: s.cfg.Registry.FreeAfter,
	})
	return &distapi.API{Registry: reg}, store, unheld, nil
}

// openJanitor makes what cleans up in two stores while the server runs.
func (s *Server) openJanitor(blobs blob.Store, store meta.Store) *gc.Blobs {
	uploads := &gc.Uploads{
		Blobs: blobs, Meta: store, Log: s.log, Now: time.Now,
		Every: 10 * time.Minute, Expiry: s.cfg.Limits.UploadExpiry,
	}
	unheld := gc.NewBlobs(blobs, store, gc.BlobsOptions{
		Log: s.log, Every: time.Minute, Rest: time.Second, Now: time.Now, FreeAfter: s.cfg.Registry.FreeAfter,
		SweepEvery: 24 * time.Hour, Pause: 20 * time.Millisecond,
		Jitter: func() time.Duration { return rand.N(time.Hour) }, //nolint:gosec // nothing secret
	})
	s.tasks = append(s.tasks, uploads.Run, unheld.Run, unheld.RunSweeps)
	return unheld
}

// openData takes the data directory and opens the database in it.
func (s *Server) openData(ctx context.Context, database string) (meta.Store, error) {
	dir, err := datadir.Open(s.cfg.Data)
	if err != nil {
		return nil, err
	}
	s.later(dir)
	s.later(&s.auditor) // which is opened later, and closed when nothing is left to record
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
