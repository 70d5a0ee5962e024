package metatest

import (
	"slices"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

func tagTests() []test {
	return []test{
		{"tag points to a manifest", tagPoints},
		{"tag moves", tagMoves},
		{"tag needs its manifest in the repository", tagNeedsManifest},
		{"tag that is deleted is gone", tagDelete},
		{"tag that is not there", tagMissing},
		{"tags are in byte order and come in pages", tagPages},
		{"tags of a manifest are in byte order", tagsOf},
	}
}

func getTag(repo, name string) func(meta.Tx) (meta.Tag, error) {
	return func(tx meta.Tx) (meta.Tag, error) { return tx.Tag(repo, name) }
}

func getByTag(repo, name string) func(meta.Tx) (meta.Manifest, error) {
	return func(tx meta.Tx) (meta.Manifest, error) { return tx.ManifestByTag(repo, name) }
}

func getTagsOf(repo string, d oci.Digest) func(meta.Tx) ([]string, error) {
	return func(tx meta.Tx) ([]string, error) { return tx.TagsOf(repo, d) }
}

func wantNoTag(t *testing.T, s meta.Store, repo, name string) {
	t.Helper()
	wantError(t, s, "Tag", meta.ErrNotFound, func(tx meta.Tx) error {
		_, err := tx.Tag(repo, name)
		return err
	})
	wantError(t, s, "ManifestByTag", meta.ErrNotFound, func(tx meta.Tx) error {
		_, err := tx.ManifestByTag(repo, name)
		return err
	})
}

// push stores a manifest and sets tags on it.
func push(tx meta.Tx, repo string, m meta.Manifest, names ...string) error {
	if err := tx.PutManifest(repo, m, nil); err != nil {
		return err
	}
	for _, name := range names {
		if err := tx.SetTag(repo, meta.Tag{Name: name, Digest: m.Digest, SetAt: now(), SetBy: "alice"}); err != nil {
			return err
		}
	}
	return nil
}

func tagPoints(t *testing.T, s meta.Store) {
	m := manifest(1)
	m.Annotations = map[string]string{"a": "b"}
	update(t, s, func(tx meta.Tx) error { return push(tx, "team/app", m, "v1", "V1") })
	update(t, s, func(tx meta.Tx) error { return push(tx, "team/other", manifest(2), "v1") })
	for _, name := range []string{"v1", "V1"} {
		want := meta.Tag{Name: name, Digest: m.Digest, SetAt: now(), SetBy: "alice"}
		wantAnswer(t, s, "tag", want, getTag("team/app", name))
		wantAnswer(t, s, "manifest", m, getByTag("team/app", name))
	}
	wantNoTag(t, s, "team/app", "v2")
	wantNoTag(t, s, "team", "v1")
}

func tagMoves(t *testing.T, s meta.Store) {
	one, two := manifest(1), manifest(2)
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", one, "latest") })
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", two) })
	moved := meta.Tag{Name: "latest", Digest: two.Digest, SetAt: later(time.Hour), SetBy: "bob"}
	update(t, s, func(tx meta.Tx) error { return tx.SetTag("app", moved) })
	wantAnswer(t, s, "moved tag", moved, getTag("app", "latest"))
	wantAnswer(t, s, "its manifest", two, getByTag("app", "latest"))
	wantAnswer(t, s, "tags of the former one", nil, getTagsOf("app", one.Digest))

	again := moved
	again.SetAt, again.SetBy = later(2*time.Hour), ""
	update(t, s, func(tx meta.Tx) error { return tx.SetTag("app", again) })
	wantAnswer(t, s, "tag set to the same", again, getTag("app", "latest"))
}

func tagNeedsManifest(t *testing.T, s meta.Store) {
	m := manifest(1)
	set := func(tx meta.Tx) error { return tx.SetTag("app", meta.Tag{Name: "v1", Digest: m.Digest, SetAt: now()}) }
	if err := s.Update(t.Context(), set); err == nil {
		t.Error("a tag was set in no repository")
	}
	update(t, s, func(tx meta.Tx) error { return push(tx, "other", m, "v1") })
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", manifest(2), "v2") })
	if err := s.Update(t.Context(), set); err == nil {
		t.Error("a tag was set to a manifest of another repository")
	}
	wantNoTag(t, s, "app", "v1")
}

func tagDelete(t *testing.T, s meta.Store) {
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", manifest(1), "v1", "v2") })
	update(t, s, func(tx meta.Tx) error { return tx.DeleteTag("app", "v1", "bob", later(time.Hour)) })
	wantNoTag(t, s, "app", "v1")
	wantAnswer(t, s, "the other tag", manifest(1), getByTag("app", "v2"))
	wantAnswer(t, s, "the manifest", manifest(1), getManifest("app", manifest(1).Digest))
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", manifest(2), "v1") })
	wantAnswer(t, s, "the tag, made again", manifest(2), getByTag("app", "v1"))
}

func tagMissing(t *testing.T, s meta.Store) {
	remove := func(tx meta.Tx) error { return tx.DeleteTag("app", "v1", "bob", now()) }
	wantNoTag(t, s, "app", "v1")
	wantError(t, s, "DeleteTag without repository", meta.ErrNotFound, remove)
	update(t, s, func(tx meta.Tx) error { return push(tx, "other", manifest(1), "v1") })
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", manifest(1), "v2") })
	wantNoTag(t, s, "app", "v1")
	wantError(t, s, "DeleteTag of another repository", meta.ErrNotFound, remove)
	wantAnswer(t, s, "tags of no repository", nil, getTagsOf("none", manifest(1).Digest))
}

func tagPages(t *testing.T, s meta.Store) {
	names := append(trickyNames(), "A", "B", "Z", "_", "_a", "a_", "aB", "Ab", "v1.10", "v1.9")
	update(t, s, func(tx meta.Tx) error {
		if err := push(tx, "other", manifest(1), "other"); err != nil {
			return err
		}
		return push(tx, "app", manifest(1), names...)
	})
	pages(t, s, sorted(names), func(tx meta.Tx, after string, limit int) ([]string, error) {
		return tx.TagNames("app", after, limit)
	})
	behind := func(tx meta.Tx) ([]string, error) { return tx.TagNames("app", "a.00", 2) }
	wantAnswer(t, s, "behind a name that is no tag", []string{"a.b", "a0"}, behind)
	pages(t, s, nil, func(tx meta.Tx, after string, limit int) ([]string, error) {
		return tx.TagNames("none", after, limit)
	})
}

func tagsOf(t *testing.T, s meta.Store) {
	names := append(trickyNames(), "A", "Z", "_")
	update(t, s, func(tx meta.Tx) error {
		for _, repo := range []string{"app", "other"} {
			if err := push(tx, repo, manifest(1), slices.Concat(names, []string{"of-" + repo})...); err != nil {
				return err
			}
		}
		return push(tx, "app", manifest(2), "elsewhere")
	})
	want := sorted(append(names, "of-app"))
	wantAnswer(t, s, "tags", want, getTagsOf("app", manifest(1).Digest))
	wantAnswer(t, s, "of no manifest", nil, getTagsOf("app", manifest(3).Digest))
}
