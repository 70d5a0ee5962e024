// Package aftermath looks at a data directory whose server has ended: what is left
// behind, and whether each file is what its name says.
package aftermath

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/disk"
	"github.com/moorgate/moorgate/internal/gc"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Found is what a data directory holds.
type Found struct {
	Uploads int             // how many unfinished uploads the janitor removed
	Blobs   map[string]bool // digests of the blobs on the disk
	Freed   int             // how many blobs the janitor removed, as no repository held them
}

// Check opens the stores in the data directory dir, lets the janitor work as it
// would in two days, and looks at the files. The error, of several parts, says
// what it left behind, of uploads and of blobs that no repository holds, and which
// blobs have other content than their name says. No server may run in dir.
func Check(ctx context.Context, dir string) (found Found, err error) {
	blobs, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		return found, err
	}
	store, err := sqlmeta.OpenSQLite(ctx, sqlmeta.SQLite{Path: filepath.Join(dir, "registry.db")})
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := clean(ctx, blobs, store, &found); err != nil {
		return found, fmt.Errorf("janitor: %w", err)
	}
	var wrong error
	found.Blobs, wrong = whole(dir)
	return found, errors.Join(noneLeft(dir), wrong, allHeld(ctx, store, found.Blobs))
}

// clean lets all that cleans up work once, in two days.
func clean(ctx context.Context, blobs blob.Store, store meta.Store, found *Found) error {
	log, later := slog.New(slog.DiscardHandler), func() time.Time { return time.Now().Add(48 * time.Hour) }
	uploads := gc.Uploads{Blobs: blobs, Meta: store, Log: log, Now: later, Expiry: time.Hour}
	unheld := gc.NewBlobs(blobs, store, gc.BlobsOptions{Log: log, Now: later, FreeAfter: time.Hour})
	n, failed := uploads.Once(ctx)
	due, err1 := unheld.Once(ctx)
	lost, err2 := unheld.Sweep(ctx)
	found.Uploads, found.Freed = n, due.Blobs+lost.Blobs
	return errors.Join(failed, err1, err2)
}

// allHeld returns an error that names the digests that no repository holds.
func allHeld(ctx context.Context, store meta.Store, digests map[string]bool) error {
	var free []string
	err := store.View(ctx, func(tx meta.Tx) error {
		free = nil
		for d := range digests {
			holders, err := tx.BlobHolders(oci.Digest(d), "", 1)
			if err != nil {
				return err
			}
			if len(holders) == 0 {
				free = append(free, d)
			}
		}
		return nil
	})
	if err == nil && len(free) > 0 {
		err = fmt.Errorf("blobs that nobody holds stay: %q", free)
	}
	return err
}

// noneLeft returns an error if there are files of uploads.
func noneLeft(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "uploads", "*"))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left behind by uploads: %q", left)
	}
	return err
}

// whole returns the digests of all blobs, and an error that names each file with
// other content.
func whole(dir string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*", "*"))
	if err != nil {
		return nil, err
	}
	stored := map[string]bool{}
	var wrong []error
	for _, file := range files {
		sum, err := sumOf(file)
		if err == nil && sum != filepath.Base(file) {
			err = fmt.Errorf("%s has the digest %s", file, sum)
		}
		wrong = append(wrong, err)
		stored["sha256:"+filepath.Base(file)] = true
	}
	return stored, errors.Join(wrong...)
}

func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
