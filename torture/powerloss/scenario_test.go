package powerloss

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	gosync "sync"
	"testing"

	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/faultfs"
)

// recordAll starts a server for the first time and does everything that changes
// files, once or a few times.
func recordAll(t testing.TB) *record {
	t.Helper()
	r := newRecord(t)
	ctx := t.Context()
	r.start()
	first, second := r.pushes(ctx)
	r.manifestsAndTags(ctx, first, second)
	r.atOnce(ctx, first)
	r.killed(ctx)
	r.longLog(ctx, first)
	if err := r.server.Stop(); err != nil {
		t.Fatal(err)
	}
	r.moment()
	r.start()
	r.push(ctx, "team/app", "a push after a stop", client.Random(3000))
	r.server.Kill()
	r.fs.Record(nil)
	r.translate()
	return r
}

// push pushes a blob as docker does.
func (r *record) push(ctx context.Context, repo, name string, content []byte) string {
	d := r.blob(content)
	r.do(repo, name, func() error { return r.client.PushBlob(ctx, repo, content) }, func(h held) { h["blob "+d] = "" })
	return d
}

// pushes pushes blobs in each way, and returns two of them.
func (r *record) pushes(ctx context.Context) (first, second []byte) {
	const app, other = "team/app", "team/other"
	first, second = client.Random(5000), client.Random(700)
	d := r.blob(first)
	r.do(app, "a push at once", func() error { return r.client.PushBlobAtOnce(ctx, app, first) }, func(h held) { h["blob "+d] = "" })
	r.push(ctx, app, "a push as docker does", second)
	chunks := client.Random(600_000)
	cd := r.blob(chunks)
	r.do(app, "a push in chunks", func() error { return r.pushChunks(ctx, app, chunks) }, func(h held) { h["blob "+cd] = "" })
	r.push(ctx, app, "the same blob again", first)
	r.push(ctx, other, "the same blob to another repository", first)
	r.push(ctx, app, "a push to a shard that is there", inShard(first, true))
	r.push(ctx, app, "a push to a new shard", inShard(first, false))
	md := client.Digest(second)
	r.do(other, "a mount", func() error { return r.client.Mount(ctx, other, md, app) }, func(h held) { h["blob "+md] = "" })
	return first, second
}

// pushChunks pushes a blob in three chunks and an end.
func (r *record) pushChunks(ctx context.Context, repo string, content []byte) error {
	a, err := r.client.Want(ctx, http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	r.begun(repo, a.Header.Get("Location"), content)
	for part := range 3 {
		size := len(content) / 3
		chunk := content[part*size : (part+1)*size]
		if a, err = r.client.Want(ctx, http.StatusAccepted, http.MethodPatch, a.Header.Get("Location"), bytes.NewReader(chunk)); err != nil {
			return err
		}
		r.moment()
	}
	_, err = r.client.Want(ctx, http.StatusCreated, http.MethodPut, a.Header.Get("Location")+"?digest="+client.Digest(content), nil)
	return err
}

// inShard returns content whose digest begins with the same two digits as that
// of other, or with others.
func inShard(other []byte, same bool) []byte {
	const prefix = len("sha256:") + 2
	for {
		content := client.Random(1000)
		if (client.Digest(content)[:prefix] == client.Digest(other)[:prefix]) == same {
			return content
		}
	}
}

// put pushes a manifest.
func (r *record) put(ctx context.Context, repo, name, reference string, body []byte) string {
	d := r.manifest(body)
	r.do(repo, name, func() error { return r.client.PutManifest(ctx, repo, reference, body) }, func(h held) {
		h["manifest "+d] = ""
		if !strings.Contains(reference, ":") {
			h["tag "+reference] = d
		}
	})
	return d
}

func (r *record) manifestsAndTags(ctx context.Context, first, second []byte) {
	const app = "team/app"
	body := client.Manifest(first, second)
	r.put(ctx, app, "a manifest by tag", "v1", body)
	r.put(ctx, app, "a second tag", "v2", body)
	moved := client.Manifest(first)
	md := r.put(ctx, app, "a moved tag", "v1", moved)
	untagged := client.Manifest(second)
	r.put(ctx, app, "a manifest by digest", client.Digest(untagged), untagged)
	r.do(app, "a tag deleted", func() error { return r.client.Delete(ctx, app, "manifests", "v2") }, func(h held) { delete(h, "tag v2") })
	r.do(app, "a manifest deleted", func() error { return r.client.Delete(ctx, app, "manifests", md) }, func(h held) {
		delete(h, "manifest "+md)
		delete(h, "tag v1")
	})
	r.put(ctx, app, "a manifest again", "v1", moved)
	gone := r.push(ctx, app, "a push", client.Random(2000))
	r.do(app, "a blob deleted", func() error { return r.client.Delete(ctx, app, "blobs", gone) }, func(h held) { delete(h, "blob "+gone) })
	r.push(ctx, app, "a deleted blob again", r.blobs[gone])
}

// atOnce pushes to several repositories at once, one blob to all of them.
func (r *record) atOnce(ctx context.Context, shared []byte) {
	var group gosync.WaitGroup
	same := client.Random(1500)
	for n := range 4 {
		group.Go(func() {
			repo := fmt.Sprintf("at/once%d", n)
			own := client.Random(1000 + n)
			r.push(ctx, repo, "one of many pushes", own)
			r.push(ctx, repo, "a push of one blob by many", same)
			r.push(ctx, repo, "a push of one blob that is there by many", shared)
			r.put(ctx, repo, "one of many manifests", "v1", client.Manifest(own, same))
		})
	}
	group.Wait()
}

// killed leaves upload sessions, and kills the server when their progress, which
// nobody waits for, was written and not synced.
func (r *record) killed(ctx context.Context) {
	for _, size := range []int{2000, 300_000} {
		content := client.Random(size)
		r.blob(content)
		a, err := r.client.Want(ctx, http.StatusAccepted, http.MethodPost, "/v2/team/app/blobs/uploads/", nil)
		if err == nil {
			r.begun("team/app", a.Header.Get("Location"), content)
			_, err = r.client.Want(ctx, http.StatusAccepted, http.MethodPatch, a.Header.Get("Location"), bytes.NewReader(content[:size/2]))
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.moment()
	r.server.Kill()
	r.start() //nolint:contextcheck // the test ends it
	r.push(ctx, "team/app", "a push after a kill", client.Random(1200))
}

// longLog pushes manifests until SQLite has moved its log into the database
// while the server runs, and then something more.
func (r *record) longLog(ctx context.Context, blob []byte) {
	const app, size = "team/app", 1 << 20
	from := r.recorder.Len()
	for n := range 10 {
		body := largeManifest(blob, size)
		r.put(ctx, app, "a large manifest", fmt.Sprintf("large%d", n), body)
		d := client.Digest(body)
		r.do(app, "a large manifest deleted", func() error { return r.client.Delete(ctx, app, "manifests", d) }, func(h held) {
			delete(h, "manifest "+d)
			delete(h, fmt.Sprintf("tag large%d", n))
		})
		if r.checkpointed(from) {
			break
		}
	}
	if !r.checkpointed(from) {
		r.t.Error("the log was never moved into the database: the test tests too little")
	}
	for n := range 3 {
		r.push(ctx, app, "a push after a checkpoint", client.Random(900+n))
		r.put(ctx, app, "a manifest after a checkpoint", "after", client.Manifest(blob))
	}
}

// checkpointed reports whether the database itself was written to.
func (r *record) checkpointed(from int) bool {
	return slices.ContainsFunc(r.recorder.Ops()[from:], func(op faultfs.Op) bool {
		return op.Kind == faultfs.Write && op.Path == "data/registry.db"
	})
}

// largeManifest returns a manifest of about size bytes.
func largeManifest(blob []byte, size int) []byte {
	var m map[string]any
	if err := json.Unmarshal(client.Manifest(blob), &m); err != nil {
		panic(err) // it is JSON
	}
	m["annotations"] = map[string]string{"large": fmt.Sprintf("%x", client.Random(size/2))}
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // maps of strings
	}
	return body
}
