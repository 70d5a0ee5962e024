package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// All is that of blob.Store. Files with names that are no digests are not
// content and are passed over.
func (s *Store) All(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
			shards, err := os.ReadDir(s.algorithmDir(a))
			if err != nil {
				yield(blob.Info{}, fmt.Errorf("list blobs: %w", err))
				return
			}
			for _, shard := range shards {
				if shard.IsDir() && !s.listShard(ctx, a, shard.Name(), yield) {
					return
				}
			}
		}
	}
}

// listShard yields the content in one shard, and reports whether to go on.
func (s *Store) listShard(ctx context.Context, a oci.Algorithm, shard string, yield func(blob.Info, error) bool) bool {
	for info, err := range files(ctx, filepath.Join(s.algorithmDir(a), shard)) {
		if err != nil {
			return yield(blob.Info{}, fmt.Errorf("list blobs: %w", err)) && false
		}
		d, err := oci.ParseDigest(string(a) + ":" + info.Name())
		if err != nil || !strings.HasPrefix(info.Name(), shard) || len(shard) != shardDigits {
			continue
		}
		if !yield(blob.Info{Digest: d, Size: info.Size(), Stored: info.ModTime()}, nil) {
			return false
		}
	}
	return true
}

// Abandoned is that of blob.Store. Uploads that are open in this process are
// not abandoned, however long ago the last byte came.
func (s *Store) Abandoned(ctx context.Context, before time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range files(ctx, s.uploads) {
			if err != nil {
				yield("", fmt.Errorf("list uploads: %w", err))
				return
			}
			id := info.Name()
			if !uploadID.MatchString(id) || !info.ModTime().Before(before) || s.isOpen(id) {
				continue
			}
			if !yield(id, nil) {
				return
			}
		}
	}
}

// files yields the regular files in dir. An error ends it; a directory, or a
// file, that is not there any more is no error.
func files(ctx context.Context, dir string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(nil, err)
			return
		}
		for _, e := range entries {
			if !e.Type().IsRegular() {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = ctx.Err()
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}
