// Package world knows what a repository must hold after the steps that a registry
// has acknowledged, and compares it with what the registry says.
package world

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/moorgate/moorgate/torture/client"
)

// mostGone bounds what a World remembers of what is gone.
const mostGone = 30

// World is what one repository must hold, and must not. Keys are digests, but for
// those of Tags. It is for one goroutine.
type World struct {
	Blobs     map[string][]byte
	Manifests map[string][]byte
	Uses      map[string][]string // by manifest: its blobs
	Tags      map[string]string   // name to digest
	Gone      map[string]bool     // blobs and manifests that were deleted: the last ones
}

// New returns the world of a repository without anything.
func New() *World {
	return &World{map[string][]byte{}, map[string][]byte{}, map[string][]string{}, map[string]string{}, map[string]bool{}}
}

// Clone returns a copy that shares only the bytes of blobs and manifests.
func (x *World) Clone() *World {
	return &World{maps.Clone(x.Blobs), maps.Clone(x.Manifests), maps.Clone(x.Uses), maps.Clone(x.Tags), maps.Clone(x.Gone)}
}

// AddBlob notes that the repository holds content, and returns its digest.
func (x *World) AddBlob(content []byte) string {
	d := client.Digest(content)
	x.Blobs[d] = content
	delete(x.Gone, d)
	return d
}

// AddManifest notes a manifest, the blobs it uses, and its tag unless that is "".
// It returns the digest.
func (x *World) AddManifest(body []byte, tag string, uses ...string) string {
	d := client.Digest(body)
	x.Manifests[d], x.Uses[d] = body, uses
	delete(x.Gone, d)
	if tag != "" {
		x.Tags[tag] = d
	}
	return d
}

// DropBlob notes that a blob was deleted.
func (x *World) DropBlob(d string) {
	delete(x.Blobs, d)
	x.lose(d)
}

// DropManifest notes that a manifest was deleted, and all its tags with it.
func (x *World) DropManifest(d string) {
	delete(x.Manifests, d)
	delete(x.Uses, d)
	maps.DeleteFunc(x.Tags, func(_, at string) bool { return at == d })
	x.lose(d)
}

// lose notes that d is gone, and forgets another one when there are many.
func (x *World) lose(d string) {
	for _, old := range slices.Sorted(maps.Keys(x.Gone)) {
		if len(x.Gone) < mostGone {
			break
		}
		delete(x.Gone, old)
	}
	x.Gone[d] = true
}

// Unused returns the digests of the blobs that no manifest uses, in order.
func (x *World) Unused() []string {
	used := map[string]bool{}
	for _, list := range x.Uses {
		for _, d := range list {
			used[d] = true
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(x.Blobs)), func(d string) bool { return used[d] })
}

// Check returns an error unless repo is this world: the same list of tags, each
// manifest and blob byte for byte, and 404 for what is gone. That there is
// nothing else cannot be asked of a registry.
func (x *World) Check(ctx context.Context, c *client.Client, repo string) error {
	tags, err := listTags(ctx, c, repo)
	if err != nil {
		return err
	}
	if names := slices.Sorted(maps.Keys(x.Tags)); !slices.Equal(tags, names) {
		return fmt.Errorf("%s has the tags %q, want %q", repo, tags, names)
	}
	for tag, d := range x.Tags {
		if err := same(x.Manifests[d])(c.Manifest(ctx, repo, tag)); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	for d, body := range x.Manifests {
		if err := same(body)(c.Manifest(ctx, repo, d)); err != nil {
			return fmt.Errorf("manifest %s: %w", d, err)
		}
	}
	for d, content := range x.Blobs {
		if err := same(content)(c.Blob(ctx, repo, d)); err != nil {
			return fmt.Errorf("blob %s: %w", d, err)
		}
	}
	for d := range x.Gone {
		for _, kind := range []string{"blobs", "manifests"} {
			if _, err := c.Want(ctx, http.StatusNotFound, http.MethodHead, "/v2/"+repo+"/"+kind+"/"+d, nil); err != nil {
				return fmt.Errorf("what is gone: %w", err)
			}
		}
	}
	return nil
}

func same(want []byte) func([]byte, error) error {
	return func(got []byte, err error) error {
		if err == nil && !bytes.Equal(got, want) {
			return fmt.Errorf("%d other bytes came back, want %d", len(got), len(want))
		}
		return err
	}
}

// listTags returns the tags of a repository; none if it is not there.
func listTags(ctx context.Context, c *client.Client, repo string) ([]string, error) {
	a, err := c.Do(ctx, http.MethodGet, "/v2/"+repo+"/tags/list?n=1000", nil)
	if err != nil || a.Status == http.StatusNotFound {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, &client.StatusError{What: "tags of " + repo, Answer: a}
	}
	var list struct{ Tags []string }
	return list.Tags, json.Unmarshal(a.Body, &list)
}
