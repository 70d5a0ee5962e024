package metatest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

func manifestTests() []test {
	return []test{
		{"manifest comes back as it was stored", manifestRoundTrip},
		{"manifest again only sets when it was pushed", manifestAgain},
		{"manifest belongs to one repository", manifestOfRepository},
		{"manifest that is deleted is gone", manifestDelete},
		{"manifest with a tag is not deleted", manifestWithTag},
		{"manifest names many things, some of them twice", manifestReferences},
		{"missing manifests come in the order asked and once", missingManifests},
	}
}

func getManifest(repo string, d oci.Digest) func(meta.Tx) (meta.Manifest, error) {
	return func(tx meta.Tx) (meta.Manifest, error) { return tx.Manifest(repo, d) }
}

func wantNoManifest(t *testing.T, s meta.Store, repo string, d oci.Digest) {
	t.Helper()
	wantError(t, s, "Manifest in "+repo, meta.ErrNotFound, func(tx meta.Tx) error {
		_, err := tx.Manifest(repo, d)
		return err
	})
}

func manifestRoundTrip(t *testing.T, s meta.Store) {
	full := manifest("full")
	full.ArtifactType = "application/vnd.example+type"
	full.Subject = digest("subject, which need not exist")
	full.Annotations = map[string]string{"a": "", "org.example": "ünicode \" \\ \u2028 \x00 \U0001f6a2", "": "no key"}
	binary := manifest("binary")
	binary.Body = []byte("\x00\xff\xfe'\"\n")
	large := manifest("large")
	large.Body = bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	large.Size = 4 << 20
	empty := manifest("empty")
	empty.Body, empty.Size, empty.MediaType = []byte{}, 0, ""
	for _, m := range []meta.Manifest{manifest("plain"), full, binary, large, empty} {
		update(t, s, func(tx meta.Tx) error { return tx.PutManifest("team/app", m, nil) })
		wantAnswer(t, s, "manifest", m, getManifest("team/app", m.Digest))
		wantNoManifest(t, s, "team", m.Digest)
	}
}

func manifestAgain(t *testing.T, s meta.Store) {
	m := manifest(1)
	m.Annotations = map[string]string{"kept": "yes"}
	update(t, s, func(tx meta.Tx) error { return tx.PutManifest("app", m, nil) })
	again := m
	again.MediaType, again.ArtifactType, again.Subject, again.Annotations = "other", "other", digest("x"), nil
	again.PushedAt = later(time.Hour)
	update(t, s, func(tx meta.Tx) error {
		return tx.PutManifest("app", again, []meta.Reference{{Digest: digest(1)}})
	})
	m.PushedAt = later(time.Hour)
	wantAnswer(t, s, "manifest", m, getManifest("app", m.Digest))
}

func manifestOfRepository(t *testing.T, s meta.Store) {
	m := manifest(1)
	other := m
	other.PushedAt = later(time.Minute)
	update(t, s, func(tx meta.Tx) error { return tx.PutManifest("one", m, nil) })
	update(t, s, func(tx meta.Tx) error { return tx.PutManifest("two", other, nil) })
	wantAnswer(t, s, "in one", m, getManifest("one", m.Digest))
	wantAnswer(t, s, "in two", other, getManifest("two", m.Digest))
	update(t, s, func(tx meta.Tx) error { return tx.DeleteManifest("one", m.Digest) })
	wantNoManifest(t, s, "one", m.Digest)
	wantAnswer(t, s, "still in two", other, getManifest("two", m.Digest))
}

func manifestDelete(t *testing.T, s meta.Store) {
	m := manifest(1)
	remove := func(tx meta.Tx) error { return tx.DeleteManifest("app", m.Digest) }
	wantError(t, s, "no repository", meta.ErrNotFound, remove)
	update(t, s, func(tx meta.Tx) error {
		return tx.PutManifest("app", m, []meta.Reference{{Digest: digest(1)}, {Digest: digest(2), Manifest: true}})
	})
	update(t, s, remove)
	wantNoManifest(t, s, "app", m.Digest)
	wantError(t, s, "deleted already", meta.ErrNotFound, remove)
	update(t, s, func(tx meta.Tx) error { return tx.PutManifest("app", m, nil) })
	wantAnswer(t, s, "stored again", m, getManifest("app", m.Digest))
}

func manifestWithTag(t *testing.T, s meta.Store) {
	m := manifest(1)
	update(t, s, func(tx meta.Tx) error {
		if err := tx.PutManifest("app", m, nil); err != nil {
			return err
		}
		return tx.SetTag("app", meta.Tag{Name: "v1", Digest: m.Digest, SetAt: now()})
	})
	err := s.Update(t.Context(), func(tx meta.Tx) error { return tx.DeleteManifest("app", m.Digest) })
	if err == nil {
		t.Error("a manifest was deleted under its tag")
	}
	wantAnswer(t, s, "by tag", m, func(tx meta.Tx) (meta.Manifest, error) { return tx.ManifestByTag("app", "v1") })
	update(t, s, func(tx meta.Tx) error {
		if err := tx.DeleteTag("app", "v1", "", now()); err != nil {
			return err
		}
		return tx.DeleteManifest("app", m.Digest)
	})
	wantNoManifest(t, s, "app", m.Digest)
}

func manifestReferences(t *testing.T, s meta.Store) {
	var refs []meta.Reference
	for _, d := range digests(200) {
		refs = append(refs, meta.Reference{Digest: d}, meta.Reference{Digest: d, Manifest: true})
	}
	for _, n := range []int{0, 1, 2, 8, 9, 64, 65, 400} {
		m := manifest(n)
		twice := slices.Concat(refs[:n], refs[:n])
		update(t, s, func(tx meta.Tx) error { return tx.PutManifest("app", m, twice) })
		wantAnswer(t, s, "manifest", m, getManifest("app", m.Digest))
	}
}

func missingManifests(t *testing.T, s meta.Store) {
	missing := func(ds ...oci.Digest) func(meta.Tx) ([]oci.Digest, error) {
		return func(tx meta.Tx) ([]oci.Digest, error) { return tx.MissingManifests("app", ds) }
	}
	var ds []oci.Digest
	for i := range 300 {
		ds = append(ds, manifest(i).Digest)
	}
	wantAnswer(t, s, "no repository", ds, missing(ds...))
	update(t, s, func(tx meta.Tx) error {
		for i := range ds {
			repo := "app"
			if i%3 == 0 {
				repo = "other"
			}
			if err := tx.PutManifest(repo, manifest(i), nil); err != nil {
				return err
			}
		}
		return nil
	})
	checkMissing(t, s, ds, missing)
}
