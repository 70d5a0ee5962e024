package world

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/moorgate/moorgate/torture/client"
)

// Bounds of a repository, so that a check can look at all of it.
const (
	mostBlobs     = 40
	mostManifests = 25
	mostTags      = 12
)

// Names of the steps.
const (
	pushAtOnce     = "push at once"
	pushDocker     = "push as docker does"
	pushChunked    = "push in chunks"
	mount          = "mount"
	putManifest    = "push a manifest"
	moveTag        = "move a tag"
	deleteTag      = "delete a tag"
	deleteManifest = "delete a manifest"
	deleteBlob     = "delete a blob"
)

// Kinds returns the names of all steps that Next chooses from.
func Kinds() []string {
	return []string{pushAtOnce, pushDocker, pushChunked, mount, putManifest, moveTag, deleteTag, deleteManifest, deleteBlob}
}

// Next chooses a step that the registry must accept.
func (w *Worker) Next() Step {
	if len(w.World.Blobs) < 3 {
		return w.PushBlob()
	}
	if len(w.World.Blobs) > mostBlobs {
		return w.DeleteBlob()
	}
	if len(w.World.Manifests) > mostManifests {
		return w.DeleteManifest()
	}
	choices := []func() Step{
		w.PushBlob, w.PushBlob, w.Mount, w.PutManifest, w.PutManifest, w.PutManifest, w.MoveTag, w.DeleteTag, w.DeleteManifest, w.DeleteBlob,
	}
	return choices[w.random.IntN(len(choices))]()
}

// PushBlob returns the push of a new blob of up to 64 KiB, in one of three ways.
func (w *Worker) PushBlob() Step {
	content := w.bytes(1 + w.random.IntN(64<<10))
	ways := []func([]byte) Step{PushAtOnce, PushAsDocker, PushInChunks}
	return ways[w.random.IntN(len(ways))](content)
}

// PushAtOnce returns the push of a blob in one POST.
func PushAtOnce(content []byte) Step {
	return Step{
		pushAtOnce,
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.PushBlobAtOnce(ctx, repo, content)
		},
		func(x *World) { x.AddBlob(content) },
	}
}

// PushAsDocker returns the push of a blob by POST, PATCH and PUT.
func PushAsDocker(content []byte) Step {
	return Step{
		pushDocker,
		func(ctx context.Context, c *client.Client, repo string) error { return c.PushBlob(ctx, repo, content) },
		func(x *World) { x.AddBlob(content) },
	}
}

// PushInChunks returns the push of a blob in two chunks and an end.
func PushInChunks(content []byte) Step {
	return Step{
		pushChunked,
		func(ctx context.Context, c *client.Client, repo string) error {
			return pushChunks(ctx, c, repo, content)
		},
		func(x *World) { x.AddBlob(content) },
	}
}

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

// Mount returns the mount of a blob of the base.
func (w *Worker) Mount() Step {
	content := w.base.Blobs[w.random.IntN(len(w.base.Blobs))]
	return Step{
		mount,
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.Mount(ctx, repo, client.Digest(content), w.base.Repo)
		},
		func(x *World) { x.AddBlob(content) },
	}
}

// PutManifest returns the push of a new manifest of one to three blobs, which must
// be there, by a tag.
func (w *Worker) PutManifest() Step {
	var uses []string
	var blobs [][]byte
	for range 1 + w.random.IntN(3) {
		d := w.oneOf(slices.Collect(maps.Keys(w.World.Blobs)))
		uses, blobs = append(uses, d), append(blobs, w.World.Blobs[d])
	}
	body, tag := client.ManifestWith(fmt.Sprint(w.random.Uint64()), blobs...), w.tag()
	return Step{
		putManifest,
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.PutManifest(ctx, repo, tag, body)
		},
		func(x *World) { x.AddManifest(body, tag, uses...) },
	}
}

// MoveTag returns the move of a tag to a manifest that is there.
func (w *Worker) MoveTag() Step {
	d, tag := w.oneOf(slices.Collect(maps.Keys(w.World.Manifests))), w.tag()
	if d == "" {
		return w.PutManifest()
	}
	body := w.World.Manifests[d]
	return Step{
		moveTag,
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.PutManifest(ctx, repo, tag, body)
		},
		func(x *World) { x.Tags[tag] = d },
	}
}

// DeleteTag returns the deletion of a tag. Where there is none, it makes one.
func (w *Worker) DeleteTag() Step {
	tag := w.oneOf(slices.Collect(maps.Keys(w.World.Tags)))
	if tag == "" {
		return w.PutManifest()
	}
	return Step{
		deleteTag,
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.Delete(ctx, repo, "manifests", tag)
		},
		func(x *World) { delete(x.Tags, tag) },
	}
}

// DeleteManifest returns the deletion of a manifest. Where there is none, it makes
// one.
func (w *Worker) DeleteManifest() Step {
	d := w.oneOf(slices.Collect(maps.Keys(w.World.Manifests)))
	if d == "" {
		return w.PutManifest()
	}
	return Step{
		deleteManifest,
		func(ctx context.Context, c *client.Client, repo string) error {
			return c.Delete(ctx, repo, "manifests", d)
		},
		func(x *World) { x.DropManifest(d) },
	}
}

// DeleteBlob returns the deletion of a blob that no manifest uses. Where there is
// none, it makes one by deleting a manifest.
func (w *Worker) DeleteBlob() Step {
	d := w.oneOf(w.World.Unused())
	if d == "" {
		return w.DeleteManifest()
	}
	return Step{
		deleteBlob,
		func(ctx context.Context, c *client.Client, repo string) error { return c.Delete(ctx, repo, "blobs", d) },
		func(x *World) { x.DropBlob(d) },
	}
}

// oneOf returns one of keys, which come in any order; "" if there are none.
func (w *Worker) oneOf(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	return keys[w.random.IntN(len(keys))]
}

func (w *Worker) tag() string { return fmt.Sprintf("v%d", w.random.IntN(mostTags)) }

// bytes returns n bytes that the seed determines.
func (w *Worker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.random.Uint32())
	}
	return b
}
