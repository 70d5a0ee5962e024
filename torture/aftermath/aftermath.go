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
	Orphans []string        // those of them that no repository holds
}

// Check opens the stores in the data directory dir, lets the janitor work as it
// would in two days, and looks at the files. The error, of several parts, says
// what it left behind, and which blobs have other content than their name says. No
// server may run in dir.
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
	later := func() time.Time { return time.Now().Add(48 * time.Hour) }
	janitor := gc.Uploads{Blobs: blobs, Meta: store, Log: slog.New(slog.DiscardHandler), Now: later, Expiry: time.Hour}
	if found.Uploads, err = janitor.Once(ctx); err != nil {
		return found, fmt.Errorf("janitor: %w", err)
	}
	var wrong, failed error
	found.Blobs, wrong = whole(dir)
	found.Orphans, failed = orphans(ctx, store, found.Blobs)
	return found, errors.Join(noneLeft(dir), wrong, failed)
}

// orphans returns the digests that no repository holds.
func orphans(ctx context.Context, store meta.Store, digests map[string]bool) (free []string, err error) {
	err = store.View(ctx, func(tx meta.Tx) error {
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
	return free, err
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
