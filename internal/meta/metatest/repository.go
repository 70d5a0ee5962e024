package metatest

import (
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
)

func repositoryTests() []test {
	return []test{
		{"repository exists from its first blob on", repositoryFromBlob},
		{"repository exists from its first manifest on", repositoryFromManifest},
		{"catalog is in byte order and comes in pages", catalogPages},
		{"catalog lists repositories while they hold a manifest", catalogFollowsManifests},
	}
}

func hasRepository(repo string) func(meta.Tx) (bool, error) {
	return func(tx meta.Tx) (bool, error) { return tx.HasRepository(repo) }
}

func catalog(tx meta.Tx) ([]string, error) { return tx.Catalog("", 100) }

func repositoryFromBlob(t *testing.T, s meta.Store) {
	wantAnswer(t, s, "before", false, hasRepository("team/app"))
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("team/app", digest(1), 1, now()) })
	wantAnswer(t, s, "with a blob", true, hasRepository("team/app"))
	wantAnswer(t, s, "its parent", false, hasRepository("team"))
	update(t, s, func(tx meta.Tx) error { return tx.UnlinkBlob("team/app", digest(1), now()) })
	wantAnswer(t, s, "when its last blob is gone", true, hasRepository("team/app"))
}

func repositoryFromManifest(t *testing.T, s meta.Store) {
	m := manifest(1)
	update(t, s, func(tx meta.Tx) error { return tx.PutManifest("team/app", m, nil) })
	wantAnswer(t, s, "with a manifest", true, hasRepository("team/app"))
	update(t, s, func(tx meta.Tx) error { return tx.DeleteManifest("team/app", m.Digest) })
	wantAnswer(t, s, "when its last manifest is gone", true, hasRepository("team/app"))
}

func catalogPages(t *testing.T, s meta.Store) {
	names := append(trickyNames(), "a/b", "a/b/c", "a-b/c")
	update(t, s, func(tx meta.Tx) error {
		for _, repo := range names {
			if err := tx.PutManifest(repo, manifest(repo), nil); err != nil {
				return err
			}
			if err := tx.LinkBlob(repo+"/blobs", digest(1), 1, now()); err != nil {
				return err
			}
		}
		return nil
	})
	pages(t, s, sorted(names), meta.Tx.Catalog)
}

func catalogFollowsManifests(t *testing.T, s meta.Store) {
	one, two := manifest(1), manifest(2)
	steps := []struct {
		name string
		fn   func(meta.Tx) error
		want []string
	}{
		{"a blob does not list it", func(tx meta.Tx) error { return tx.LinkBlob("app", digest(1), 1, now()) }, nil},
		{"a manifest does", func(tx meta.Tx) error { return tx.PutManifest("app", one, nil) }, []string{"app"}},
		{"and another", func(tx meta.Tx) error { return tx.PutManifest("app", two, nil) }, []string{"app"}},
		{"one is left", func(tx meta.Tx) error { return tx.DeleteManifest("app", one.Digest) }, []string{"app"}},
		{"none is left", func(tx meta.Tx) error { return tx.DeleteManifest("app", two.Digest) }, nil},
		{"one again", func(tx meta.Tx) error { return tx.PutManifest("app", two, nil) }, []string{"app"}},
	}
	for _, step := range steps {
		update(t, s, step.fn)
		wantAnswer(t, s, step.name, step.want, catalog)
	}
}
