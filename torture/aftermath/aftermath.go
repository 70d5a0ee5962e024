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
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
)

// Found is what a data directory holds.
type Found struct {
	Uploads int             // how many unfinished uploads the janitor removed
	Blobs   map[string]bool // digests of the blobs on the disk
}

// Check opens the stores in the data directory dir, lets the janitor work as it
// would in two days, and looks at the files. The error, of several parts, says
// what it left behind, and which blobs have other content than their name says.
// No server may run in dir.
func Check(ctx context.Context, dir string) (Found, error) {
	n, err := clean(ctx, dir)
	if err != nil {
		return Found{}, fmt.Errorf("janitor: %w", err)
	}
	blobs, err := whole(dir)
	return Found{n, blobs}, errors.Join(noneLeft(dir), err)
}

func clean(ctx context.Context, dir string) (removed int, err error) {
	blobs, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		return 0, err
	}
	store, err := sqlmeta.OpenSQLite(ctx, sqlmeta.SQLite{Path: filepath.Join(dir, "registry.db")})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	later := func() time.Time { return time.Now().Add(48 * time.Hour) }
	janitor := gc.Uploads{Blobs: blobs, Meta: store, Log: slog.New(slog.DiscardHandler), Now: later, Expiry: time.Hour}
	return janitor.Once(ctx)
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
