package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"

	"github.com/moorgate/moorgate/torture/client"
)

// world is what a repository must hold. Keys are digests, but for those of tags.
type world struct {
	blobs     map[string][]byte
	manifests map[string][]byte
	uses      map[string][]string // by manifest: its blobs
	tags      map[string]string   // name to digest
	gone      map[string]bool     // blobs and manifests that are not there
}

func newWorld() *world {
	return &world{map[string][]byte{}, map[string][]byte{}, map[string][]string{}, map[string]string{}, map[string]bool{}}
}

func (x *world) clone() *world {
	return &world{maps.Clone(x.blobs), maps.Clone(x.manifests), maps.Clone(x.uses), maps.Clone(x.tags), maps.Clone(x.gone)}
}

// step is one change of a repository: what a client asks for, and what the world
// is when it was done.
type step struct {
	name  string
	ask   func(ctx context.Context, c *client.Client, repo string) error
	apply func(*world)
}

// worker changes one repository, one step after the other.
type worker struct {
	repo    string
	random  *rand.Rand
	base    [][]byte // blobs of the repository that others mount from
	world   *world   // acknowledged
	pending *step    // asked for, and no answer came; nil if there is none
	done    map[string]int
}

// run changes the repository until the server is gone. It returns what else went
// wrong.
func (w *worker) run(ctx context.Context, c *client.Client) error {
	for {
		s := w.next()
		err := s.ask(ctx, c, w.repo)
		var status *client.StatusError
		if errors.As(err, &status) {
			return fmt.Errorf("%s: %s: %w", w.repo, s.name, err)
		}
		if err != nil {
			w.pending = &s
			return nil // the server was killed
		}
		s.apply(w.world)
		w.done[s.name]++
	}
}

// settle finds out whether the pending step was done, and fails unless all is as
// it was acknowledged, with that step or without.
func (w *worker) settle(ctx context.Context, c *client.Client) error {
	without := w.check(ctx, c, w.world)
	if w.pending == nil || without == nil {
		w.pending = nil
		return without
	}
	after := w.world.clone()
	w.pending.apply(after)
	if with := w.check(ctx, c, after); with != nil {
		return fmt.Errorf("in the middle of %q: without it %w; with it %w", w.pending.name, without, with)
	}
	w.world, w.pending = after, nil
	return nil
}

// check compares the repository with a world.
func (w *worker) check(ctx context.Context, c *client.Client, want *world) error {
	tags, err := listTags(ctx, c, w.repo)
	if err != nil {
		return err
	}
	if names := slices.Sorted(maps.Keys(want.tags)); !slices.Equal(tags, names) {
		return fmt.Errorf("%s has the tags %q, want %q", w.repo, tags, names)
	}
	for tag, d := range want.tags {
		if err := same(want.manifests[d])(c.Manifest(ctx, w.repo, tag)); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	for d, body := range want.manifests {
		if err := same(body)(c.Manifest(ctx, w.repo, d)); err != nil {
			return fmt.Errorf("manifest %s: %w", d, err)
		}
	}
	for d, content := range want.blobs {
		if err := same(content)(c.Blob(ctx, w.repo, d)); err != nil {
			return fmt.Errorf("blob %s: %w", d, err)
		}
	}
	for d := range want.gone {
		for _, kind := range []string{"blobs", "manifests"} {
			if _, err := c.Want(ctx, http.StatusNotFound, http.MethodHead, "/v2/"+w.repo+"/"+kind+"/"+d, nil); err != nil {
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
	var list struct{ Tags []string }
	return list.Tags, json.Unmarshal(a.Body, &list)
}
