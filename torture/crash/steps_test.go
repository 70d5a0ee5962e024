package crash

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/moorgate/moorgate/torture/client"
)

// Bounds of a repository, so that each round can look at all of it.
const (
	mostBlobs     = 40
	mostManifests = 25
	mostTags      = 12
	mostGone      = 30
)

// next chooses a step.
func (w *worker) next() step {
	if len(w.world.blobs) < 3 {
		return w.pushBlob()
	}
	if len(w.world.blobs) > mostBlobs {
		return w.deleteBlob()
	}
	if len(w.world.manifests) > mostManifests {
		return w.deleteManifest()
	}
	choices := []func() step{
		w.pushBlob, w.pushBlob, w.mount, w.putManifest, w.putManifest, w.putManifest, w.retag, w.deleteTag, w.deleteManifest, w.deleteBlob,
	}
	return choices[w.random.IntN(len(choices))]()
}

// any returns one of the keys of a map; "" if there are none.
func (w *worker) any(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	return keys[w.random.IntN(len(keys))]
}

func (w *worker) pushBlob() step {
	content := client.Random(1 + w.random.IntN(64<<10))
	d := client.Digest(content)
	s := step{name: "push at once", apply: func(x *world) { x.blobs[d] = content }}
	s.ask = func(ctx context.Context, c *client.Client, repo string) error {
		return c.PushBlobAtOnce(ctx, repo, content)
	}
	switch w.random.IntN(3) {
	case 0:
		s.name = "push as docker does"
		s.ask = func(ctx context.Context, c *client.Client, repo string) error { return c.PushBlob(ctx, repo, content) }
	case 1:
		s.name = "push in chunks"
		s.ask = func(ctx context.Context, c *client.Client, repo string) error {
			return pushChunks(ctx, c, repo, content)
		}
	}
	return s
}

// pushChunks pushes a blob in two chunks and an end.
func pushChunks(ctx context.Context, c *client.Client, repo string, content []byte) error {
	a, err := c.Want(ctx, http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
	for _, part := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
		if err == nil && len(part) > 0 {
			a, err = c.Want(ctx, http.StatusAccepted, http.MethodPatch, a.Header.Get("Location"), bytes.NewReader(part))
		}
	}
	if err == nil {
		_, err = c.Want(ctx, http.StatusCreated, http.MethodPut, a.Header.Get("Location")+"?digest="+client.Digest(content), nil)
	}
	return err
}

func (w *worker) mount() step {
	content := w.base[w.random.IntN(len(w.base))]
	d := client.Digest(content)
	return step{
		"mount",
		func(ctx context.Context, c *client.Client, repo string) error { return c.Mount(ctx, repo, d, baseRepo) },
		func(x *world) {
			x.blobs[d] = content
			delete(x.gone, d)
		},
	}
}

func (w *worker) tag() string { return fmt.Sprintf("v%d", w.random.IntN(mostTags)) }

func (w *worker) putManifest() step {
	var uses []string
	var blobs [][]byte
	for range 1 + w.random.IntN(3) {
		d := w.any(slices.Collect(maps.Keys(w.world.blobs)))
		uses, blobs = append(uses, d), append(blobs, w.world.blobs[d])
	}
	body, tag := client.Manifest(blobs...), w.tag()
	d := client.Digest(body)
	return step{
		"push a manifest",
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.PutManifest(ctx, repo, tag, body)
		},
		func(x *world) { x.manifests[d], x.uses[d], x.tags[tag] = body, uses, d },
	}
}

func (w *worker) retag() step {
	d, tag := w.any(slices.Collect(maps.Keys(w.world.manifests))), w.tag()
	if d == "" {
		return w.putManifest()
	}
	body := w.world.manifests[d]
	return step{
		"move a tag",
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.PutManifest(ctx, repo, tag, body)
		},
		func(x *world) { x.tags[tag] = d },
	}
}

func (w *worker) deleteTag() step {
	tag := w.any(slices.Collect(maps.Keys(w.world.tags)))
	if tag == "" {
		return w.putManifest()
	}
	return step{
		"delete a tag",
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.Delete(ctx, repo, "manifests", tag)
		},
		func(x *world) { delete(x.tags, tag) },
	}
}

func (w *worker) deleteManifest() step {
	d := w.any(slices.Collect(maps.Keys(w.world.manifests)))
	if d == "" {
		return w.putManifest()
	}
	return step{
		"delete a manifest",
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.Delete(ctx, repo, "manifests", d)
		},
		func(x *world) {
			delete(x.manifests, d)
			delete(x.uses, d)
			maps.DeleteFunc(x.tags, func(_, at string) bool { return at == d })
			x.lose(d)
		},
	}
}

// deleteBlob deletes a blob that no manifest uses. Where there is none, it makes
// one by deleting a manifest.
func (w *worker) deleteBlob() step {
	used := map[string]bool{}
	for _, list := range w.world.uses {
		for _, d := range list {
			used[d] = true
		}
	}
	free := slices.DeleteFunc(slices.Collect(maps.Keys(w.world.blobs)), func(d string) bool { return used[d] })
	d := w.any(free)
	if d == "" {
		return w.deleteManifest()
	}
	return step{
		"delete a blob",
		func(ctx context.Context, c *client.Client, repo string) error { return c.Delete(ctx, repo, "blobs", d) },
		func(x *world) {
			delete(x.blobs, d)
			x.lose(d)
		},
	}
}

// lose notes that d is gone, and forgets another one when there are many.
func (x *world) lose(d string) {
	for old := range x.gone {
		if len(x.gone) < mostGone {
			break
		}
		delete(x.gone, old)
	}
	x.gone[d] = true
}
