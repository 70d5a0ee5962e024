package metatest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

func usingTests() []test {
	return []test{
		{"tags that need a blob or a manifest, through any depth", usingDepths},
		{"tags that need a shared blob are in byte order and come once", usingShared},
		{"tags that need something are found through a deep chain", usingChain},
		{"tags of another repository need nothing of this one", usingRepository},
		{"tags do not need a subject", usingSubject},
		{"tags need what a manifest names, not what has the same digest", usingKinds},
		{"tags need nothing that was deleted or moved away from", usingChanges},
	}
}

func getTagsUsing(repo string, d oci.Digest) func(meta.Tx) ([]string, error) {
	return func(tx meta.Tx) ([]string, error) { return tx.TagsUsing(repo, d) }
}

// naming stores a manifest that names others and blobs, and sets tags on it.
func naming(tx meta.Tx, repo string, m meta.Manifest, blobs, manifests []oci.Digest, tags ...string) error {
	var refs []meta.Reference
	for _, d := range blobs {
		refs = append(refs, meta.Reference{Digest: d})
	}
	for _, d := range manifests {
		refs = append(refs, meta.Reference{Digest: d, Manifest: true})
	}
	if err := tx.PutManifest(repo, m, refs); err != nil {
		return err
	}
	return push(tx, repo, m, tags...)
}

func of(ds ...oci.Digest) []oci.Digest { return ds }

// usingDepths has a blob of an image of an index of an index, each with a tag.
func usingDepths(t *testing.T, s meta.Store) {
	layer := digest("layer")
	image, index, outer, stranger := manifest("image"), manifest("index"), manifest("outer"), manifest("stranger")
	wantAnswer(t, s, "no repository", nil, getTagsUsing("app", layer))
	update(t, s, func(tx meta.Tx) error {
		if err := naming(tx, "app", stranger, of(digest("other layer")), nil, "stranger"); err != nil {
			return err
		}
		if err := naming(tx, "app", image, of(digest("config"), layer), nil, "image"); err != nil {
			return err
		}
		if err := naming(tx, "app", index, nil, of(image.Digest), "index"); err != nil {
			return err
		}
		return naming(tx, "app", outer, nil, of(index.Digest), "outer", "OUTER")
	})
	for what, test := range map[string]struct {
		d    oci.Digest
		want []string
	}{
		"the blob":       {layer, []string{"OUTER", "image", "index", "outer"}},
		"the image":      {image.Digest, []string{"OUTER", "image", "index", "outer"}},
		"the index":      {index.Digest, []string{"OUTER", "index", "outer"}},
		"the outer one":  {outer.Digest, []string{"OUTER", "outer"}},
		"another blob":   {digest("other layer"), []string{"stranger"}},
		"a strange blob": {digest("unknown"), nil},
	} {
		wantAnswer(t, s, what, test.want, getTagsUsing("app", test.d))
	}
}

func usingShared(t *testing.T, s meta.Store) {
	layer, names := digest("shared"), append(trickyNames(), "A", "Z", "_")
	var all []oci.Digest
	update(t, s, func(tx meta.Tx) error {
		all = nil
		for i, name := range names {
			m := manifest(i)
			all = append(all, m.Digest)
			if err := naming(tx, "app", m, of(layer, digest(i)), nil, name); err != nil {
				return err
			}
		}
		// Many ways lead to it.
		return naming(tx, "app", manifest("index"), of(layer), all, "all", "again")
	})
	wantAnswer(t, s, "shared blob", sorted(append(names, "all", "again")), getTagsUsing("app", layer))
	wantAnswer(t, s, "blob of one", sorted([]string{names[3], "all", "again"}), getTagsUsing("app", digest(3)))
}

// usingChain has 50 manifests of which each names the two before it: the ways
// from top to bottom are billions.
func usingChain(t *testing.T, s meta.Store) {
	const depth = 50
	update(t, s, func(tx meta.Tx) error {
		blobs, below := of(digest("layer")), of()
		for i := range depth {
			m := manifest(i)
			if err := naming(tx, "app", m, blobs, below); err != nil {
				return err
			}
			blobs, below = nil, append(slices.Clone(below[max(0, len(below)-1):]), m.Digest)
		}
		return push(tx, "app", manifest(depth-1), "top")
	})
	for i := range depth {
		wantAnswer(t, s, fmt.Sprint("manifest ", i), []string{"top"}, getTagsUsing("app", manifest(i).Digest))
	}
	wantAnswer(t, s, "the blob at the bottom", []string{"top"}, getTagsUsing("app", digest("layer")))
}

func usingRepository(t *testing.T, s meta.Store) {
	layer, image, index := digest("layer"), manifest("image"), manifest("index")
	update(t, s, func(tx meta.Tx) error {
		for _, repo := range []string{"app", "other"} {
			if err := naming(tx, repo, image, of(layer), nil, "image-of-"+repo); err != nil {
				return err
			}
		}
		// Only here does the index name it; only there is there an image to name.
		if err := naming(tx, "third", index, nil, of(image.Digest), "index-of-third"); err != nil {
			return err
		}
		return naming(tx, "other", index, nil, of(image.Digest), "index-of-other")
	})
	for repo, want := range map[string][]string{
		"app": {"image-of-app"}, "other": {"image-of-other", "index-of-other"}, "third": nil, "none": nil,
	} {
		wantAnswer(t, s, "blob in "+repo, want, getTagsUsing(repo, layer))
	}
	wantAnswer(t, s, "image in third, which lacks it", []string{"index-of-third"}, getTagsUsing("third", image.Digest))
}

func usingSubject(t *testing.T, s meta.Store) {
	image, signature := manifest("image"), manifest("signature")
	signature.Subject = image.Digest
	strange := manifest("strange")
	strange.Subject = digest("a blob")
	update(t, s, func(tx meta.Tx) error {
		if err := naming(tx, "app", image, of(digest("layer")), nil, "image"); err != nil {
			return err
		}
		if err := naming(tx, "app", strange, of(digest("x")), nil, "strange"); err != nil {
			return err
		}
		return naming(tx, "app", signature, of(digest("payload")), nil, "signature")
	})
	wantAnswer(t, s, "the subject", []string{"image"}, getTagsUsing("app", image.Digest))
	wantAnswer(t, s, "a blob of the subject", []string{"image"}, getTagsUsing("app", digest("layer")))
	wantAnswer(t, s, "a blob that is a subject only", nil, getTagsUsing("app", digest("a blob")))
}

// usingKinds has an image that names the bytes of another manifest as a layer:
// it needs them, but not what they name.
func usingKinds(t *testing.T, s meta.Store) {
	inner, outer := manifest("inner"), manifest("outer")
	update(t, s, func(tx meta.Tx) error {
		if err := naming(tx, "app", inner, of(digest("layer")), nil); err != nil {
			return err
		}
		return naming(tx, "app", outer, of(inner.Digest), nil, "outer")
	})
	wantAnswer(t, s, "named as a blob", []string{"outer"}, getTagsUsing("app", inner.Digest))
	wantAnswer(t, s, "what the blob would name", nil, getTagsUsing("app", digest("layer")))
}

func usingChanges(t *testing.T, s meta.Store) {
	layer, image, index, other := digest("layer"), manifest("image"), manifest("index"), manifest("other")
	update(t, s, func(tx meta.Tx) error {
		if err := naming(tx, "app", image, of(layer), nil, "image"); err != nil {
			return err
		}
		if err := naming(tx, "app", other, nil, nil); err != nil {
			return err
		}
		return naming(tx, "app", index, nil, of(image.Digest), "index", "moved")
	})
	wantAnswer(t, s, "before", []string{"image", "index", "moved"}, getTagsUsing("app", layer))
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", other, "moved") })
	wantAnswer(t, s, "after one moved", []string{"image", "index"}, getTagsUsing("app", layer))
	update(t, s, func(tx meta.Tx) error {
		if err := tx.DeleteTag("app", "index", "", now()); err != nil {
			return err
		}
		return tx.DeleteManifest("app", index.Digest)
	})
	wantAnswer(t, s, "after the index is gone", []string{"image"}, getTagsUsing("app", layer))
	update(t, s, func(tx meta.Tx) error { return tx.DeleteTag("app", "image", "", now()) })
	wantAnswer(t, s, "after the last tag is gone", nil, getTagsUsing("app", layer))
}
