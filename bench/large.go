package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
)

// pageSize is how many entries a page has.
const pageSize = 100

// large is a store with very much of something, made without a server: by pushes it
// would take hours.
type large struct {
	name   string
	count  int
	list   string        // its path
	last   func() string // what stands before a page in the middle; "" for the first page
	put    func(tx meta.Tx, i int) error
	folder func(i int) string // as registry 2.x and 3.x keep it, where they need no more; nil if they cannot
}

// page is the path of a page of pageSize, if there can be one in the middle.
func (l *large) page() string {
	path := fmt.Sprintf("%s?n=%d", l.list, pageSize)
	if last := l.last(); last != "" {
		path += "&last=" + last
	}
	return path
}

// manyTags is one manifest with so many tags.
func manyTags(count int) *large {
	name := func(i int) string { return fmt.Sprintf("t%06d", i) }
	last := ""
	if count > pageSize {
		last = name(count / 2)
	}
	m := emptyIndex(0, nil)
	return &large{
		name: fmt.Sprint("tags", count), count: count, list: "/v2/" + repo + "/tags/list", last: func() string { return last },
		put: func(tx meta.Tx, i int) error {
			if i == 0 {
				if err := tx.PutManifest(repo, m, nil); err != nil {
					return err
				}
			}
			return tx.SetTag(repo, meta.Tag{Name: name(i), Digest: m.Digest, SetAt: m.PushedAt})
		},
		folder: func(i int) string { return filepath.Join(repo, "_manifests/tags", name(i)) },
	}
}

// manyRepositories have one manifest each.
func manyRepositories() *large {
	const count = 100_000
	name := func(i int) string { return fmt.Sprintf("many/r%06d", i) }
	m := emptyIndex(0, nil)
	return &large{
		name: "repositories", count: count, list: "/v2/_catalog", last: func() string { return name(count / 2) },
		put: func(tx meta.Tx, i int) error {
			return errors.Join(tx.PutManifest(name(i), m, nil), tx.SetTag(name(i), meta.Tag{Name: tag, Digest: m.Digest, SetAt: m.PushedAt}))
		},
		folder: func(i int) string { return filepath.Join(name(i), "_manifests") },
	}
}

// manyReferrers are indexes with one subject.
func manyReferrers() *large {
	const count = 10_000
	subject := emptyIndex(-1, nil)
	of := &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return &large{
		name: "referrers", count: count,
		list: "/v2/" + repo + "/referrers/" + subject.Digest.String(),
		last: func() string {
			all := make([]digest.Digest, count)
			for i := range all {
				all[i] = emptyIndex(i, of).Digest
			}
			slices.Sort(all)
			return all[count/2].String()
		},
		put: func(tx meta.Tx, i int) error {
			if i == 0 {
				if err := tx.PutManifest(repo, subject, nil); err != nil {
					return err
				}
			}
			return tx.PutManifest(repo, emptyIndex(i, of), nil)
		},
	}
}

// emptyIndex is an index of nothing, which needs nothing else.
func emptyIndex(i int, subject *v1.Descriptor) meta.Manifest {
	index := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{},
		ArtifactType: "application/vnd.example.signature", Subject: subject, Annotations: map[string]string{"number": fmt.Sprint(i)},
	}
	text, err := json.Marshal(index)
	if err != nil {
		panic(err) // an index is JSON
	}
	m := meta.Manifest{
		Digest: digest.FromBytes(text), MediaType: index.MediaType, ArtifactType: index.ArtifactType, Annotations: index.Annotations,
		Size: int64(len(text)), Body: text, PushedAt: time.Unix(1_700_000_000, 0),
	}
	if subject != nil {
		m.Subject = subject.Digest
	}
	return m
}

// fill gives a server that has not started yet its content: a copy of the
// database, or the folders that all others read.
func (b *bench) fill(ctx context.Context, l *large, k kind, s *server) error {
	dir := filepath.Join(b.dir, "large", l.name)
	if !k.store {
		s.content = filepath.Join(dir, "folders")
		return b.once(s.content, func(to string) error { return l.writeFolders(to) })
	}
	if err := b.once(filepath.Join(dir, "database"), func(to string) error { return l.writeDatabase(ctx, filepath.Join(to, database)) }); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dataDir(), 0o700); err != nil {
		return err
	}
	return copyFile(filepath.Join(s.dataDir(), database), filepath.Join(dir, "database", database), 0o600)
}

// database is the file of "moorgate serve" in its data directory.
const database = "registry.db"

// once makes a directory if it is not there yet. None is there by half.
func (b *bench) once(dir string, write func(to string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	b.progress.say("   making %s", dir)
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil { //nolint:gosec // for all servers
		return err
	}
	if err := write(part); err != nil {
		return err
	}
	return os.Rename(part, dir)
}

// writeDatabase puts all into the store of "moorgate serve", in few transactions.
func (l *large) writeDatabase(ctx context.Context, path string) error {
	store, err := sqlmeta.OpenSQLite(ctx, sqlmeta.SQLite{Path: path})
	if err != nil {
		return err
	}
	const step = 10_000
	for first := 0; first < l.count && err == nil; first += step {
		err = store.Update(ctx, func(tx meta.Tx) error {
			for i := first; i < min(first+step, l.count); i++ {
				if err := l.put(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return errors.Join(err, store.Close())
}

func (l *large) writeFolders(dir string) error {
	for i := range l.count {
		if err := os.MkdirAll(filepath.Join(dir, "docker/registry/v2/repositories", l.folder(i)), 0o755); err != nil { //nolint:gosec // for all servers
			return err
		}
	}
	return nil
}
