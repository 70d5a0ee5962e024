package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// How much a large store has.
const (
	manyTags         = 100_000
	manyRepositories = 100_000
	manyReferrers    = 10_000
	tagsAtOnce       = 100 // of one push
)

func tagName(i int) string  { return fmt.Sprintf("t%06d", i) }
func repoName(i int) string { return fmt.Sprintf("many/r%06d", i) }

// middleOf is a page in the middle of a list.
func middleOf(list string) func(*bench) string {
	last := tagName(manyTags / 2)
	if strings.HasSuffix(list, "_catalog") {
		last = repoName(manyRepositories / 2)
	}
	return func(*bench) string { return list + "?n=100&last=" + last }
}

func referrers(b *bench) string { return "/v2/" + repo + "/referrers/" + b.image.digest().String() }

// seedTags pushes one manifest with many tags (distribution-spec, "Pushing
// Manifests", the parameter tag).
func (b *bench) seedTags(ctx context.Context, s *server) error {
	c := s.innermost().client()
	if err := c.pushImage(ctx, repo, tag, b.image); err != nil {
		return err
	}
	for i := 0; i < manyTags; i += tagsAtOnce {
		names := make([]string, tagsAtOnce)
		for k := range names {
			names[k] = "tag=" + tagName(i+k)
		}
		if err := c.pushManifest(ctx, repo, b.image.digest().String()+"?"+strings.Join(names, "&"), b.image.manifest); err != nil {
			return err
		}
	}
	return nil
}

// empty is an index of nothing, which needs nothing else.
func empty(i int, subject *v1.Descriptor) []byte {
	text, err := json.Marshal(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{},
		ArtifactType: "application/vnd.example.signature", Subject: subject, Annotations: map[string]string{"number": fmt.Sprint(i)},
	})
	if err != nil {
		panic(err) // an index is JSON
	}
	return text
}

// seedMany pushes so many manifests, several at once.
func seedMany(ctx context.Context, count int, push func(ctx context.Context, i int) error) error {
	failed := make(chan error, workers)
	for w := range workers {
		go func() {
			for i := w; i < count; i += workers {
				if err := push(ctx, i); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	var all []error
	for range workers {
		all = append(all, <-failed)
	}
	return errors.Join(all...)
}

func (b *bench) seedRepositories(ctx context.Context, s *server) error {
	c := s.innermost().client()
	return seedMany(ctx, manyRepositories, func(ctx context.Context, i int) error {
		return c.pushIndex(ctx, repoName(i), tag, empty(0, nil))
	})
}

func (b *bench) seedReferrers(ctx context.Context, s *server) error {
	c := s.innermost().client()
	if err := c.pushImage(ctx, repo, tag, b.image); err != nil {
		return err
	}
	subject := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: b.image.digest(), Size: int64(len(b.image.manifest))}
	return seedMany(ctx, manyReferrers, func(ctx context.Context, i int) error {
		text := empty(i, &subject)
		return c.pushIndex(ctx, repo, digest.FromBytes(text).String(), text)
	})
}

// pushIndex pushes an index.
func (c *client) pushIndex(ctx context.Context, repo, reference string, index []byte) error {
	return c.pushTyped(ctx, repo, reference, v1.MediaTypeImageIndex, index)
}

// tagFolders makes the tags as registry 2.x and 3.x keep them: a folder each. They
// are listed without being read.
func (b *bench) tagFolders() (string, error) {
	return b.folders("tags", manyTags, func(i int) string {
		return filepath.Join("bench/app/_manifests/tags", tagName(i), "current")
	})
}

func (b *bench) repositoryFolders() (string, error) {
	return b.folders("repositories", manyRepositories, func(i int) string {
		return filepath.Join(repoName(i), "_manifests")
	})
}

func (b *bench) folders(name string, count int, path func(i int) string) (string, error) {
	dir := filepath.Join(b.dir, name)
	for i := range count {
		if err := os.MkdirAll(filepath.Join(dir, "docker/registry/v2/repositories", path(i)), 0o755); err != nil { //nolint:gosec // for all servers
			return "", err
		}
	}
	return dir, nil
}

// starts starts the server that has the content again; what stands before it goes
// on.
func (b *bench) starts(_ context.Context, s *server) (result, error) {
	took, err := s.innermost().processes[0].again() //nolint:contextcheck // it runs on
	if err != nil {
		return result{}, err
	}
	now, err := usageOf(s.innermost().processes)
	return result{rate: 1 / took.Seconds(), cpu: now.cpu, memory: now.memory}, err
}
