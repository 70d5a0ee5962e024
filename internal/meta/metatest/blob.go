package metatest

import (
	"slices"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

func blobTests() []test {
	return []test{
		{"blob is held by the repositories that link it", blobLinks},
		{"blob link again is no error", blobLinkAgain},
		{"blob link that is not there", blobLinkMissing},
		{"blob sizes go beyond 32 bits", blobSizes},
		{"blob digests may be sha512", blobSHA512},
		{"blob holders are in byte order and come in pages", blobHolders},
		{"missing blobs come in the order asked and once", missingBlobs},
	}
}

func blobSize(repo string, d oci.Digest) func(meta.Tx) (int64, error) {
	return func(tx meta.Tx) (int64, error) { return tx.BlobSize(repo, d) }
}

func wantNoBlob(t *testing.T, s meta.Store, repo string, d oci.Digest) {
	t.Helper()
	wantError(t, s, "BlobSize in "+repo, meta.ErrNotFound, func(tx meta.Tx) error {
		_, err := tx.BlobSize(repo, d)
		return err
	})
}

func blobLinks(t *testing.T, s meta.Store) {
	d := digest("layer")
	wantNoBlob(t, s, "one", d)
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("one", d, 12, now()) })
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("two", d, 12, now()) })
	wantAnswer(t, s, "size in one", 12, blobSize("one", d))
	wantAnswer(t, s, "size in two", 12, blobSize("two", d))
	wantNoBlob(t, s, "three", d)
	wantNoBlob(t, s, "one", digest("other"))

	update(t, s, func(tx meta.Tx) error { return tx.UnlinkBlob("one", d, now()) })
	wantNoBlob(t, s, "one", d)
	wantAnswer(t, s, "size in two still", 12, blobSize("two", d))
}

func blobLinkAgain(t *testing.T, s meta.Store) {
	for range 2 {
		update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", digest(1), 5, now()) })
	}
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", digest(1), 5, later(time.Hour)) })
	wantAnswer(t, s, "size", 5, blobSize("app", digest(1)))
	update(t, s, func(tx meta.Tx) error { return tx.UnlinkBlob("app", digest(1), now()) })
	wantNoBlob(t, s, "app", digest(1))
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", digest(1), 5, now()) })
	wantAnswer(t, s, "size when it is back", 5, blobSize("app", digest(1)))
}

func blobLinkMissing(t *testing.T, s meta.Store) {
	unlink := func(tx meta.Tx) error { return tx.UnlinkBlob("app", digest(1), now()) }
	wantError(t, s, "no repository", meta.ErrNotFound, unlink)
	update(t, s, func(tx meta.Tx) error {
		if err := tx.LinkBlob("app", digest(2), 1, now()); err != nil {
			return err
		}
		return tx.LinkBlob("other", digest(1), 1, now())
	})
	wantError(t, s, "held by another repository", meta.ErrNotFound, unlink)
}

func blobSizes(t *testing.T, s meta.Store) {
	for _, size := range []int64{0, 1, 1 << 31, 1 << 45} {
		update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", digest(size), size, now()) })
		wantAnswer(t, s, "size", size, blobSize("app", digest(size)))
	}
}

func blobSHA512(t *testing.T, s meta.Store) {
	d := oci.SHA512.FromString("content")
	update(t, s, func(tx meta.Tx) error { return tx.LinkBlob("app", d, 7, now()) })
	wantAnswer(t, s, "size", 7, blobSize("app", d))
}

func blobHolders(t *testing.T, s meta.Store) {
	d := digest("shared")
	names := append(trickyNames(), "a/b", "a-b/c")
	update(t, s, func(tx meta.Tx) error {
		for _, repo := range names {
			if err := tx.LinkBlob(repo, d, 1, now()); err != nil {
				return err
			}
			if err := tx.LinkBlob(repo+"/other", digest("other"), 1, now()); err != nil {
				return err
			}
		}
		return nil
	})
	pages(t, s, sorted(names), func(tx meta.Tx, after string, limit int) ([]string, error) {
		return tx.BlobHolders(d, after, limit)
	})
	update(t, s, func(tx meta.Tx) error { return tx.UnlinkBlob("a", d, now()) })
	left := slices.DeleteFunc(sorted(names), func(s string) bool { return s == "a" })
	wantAnswer(t, s, "holders that are left", left, func(tx meta.Tx) ([]string, error) { return tx.BlobHolders(d, "", 100) })
}

func missingBlobs(t *testing.T, s meta.Store) {
	missing := func(ds ...oci.Digest) func(meta.Tx) ([]oci.Digest, error) {
		return func(tx meta.Tx) ([]oci.Digest, error) { return tx.MissingBlobs("app", ds) }
	}
	ds := digests(300)
	wantAnswer(t, s, "no repository", ds, missing(ds...))
	update(t, s, func(tx meta.Tx) error {
		for i, d := range ds {
			repo := "app"
			if i%3 == 0 {
				repo = "other"
			}
			if err := tx.LinkBlob(repo, d, 1, now()); err != nil {
				return err
			}
		}
		return nil
	})
	checkMissing(t, s, ds, missing)
}

// checkMissing asks for lists of many lengths. Those of ds with an index that
// three divides are missing.
func checkMissing(t *testing.T, s meta.Store, ds []oci.Digest, missing func(...oci.Digest) func(meta.Tx) ([]oci.Digest, error)) {
	t.Helper()
	for _, n := range []int{0, 1, 2, 7, 8, 9, 63, 64, 65, 128, 200, 300} {
		var want []oci.Digest
		for i := n - 1; i >= 0; i-- {
			if i%3 == 0 {
				want = append(want, ds[i])
			}
		}
		asked := slices.Clone(ds[:n])
		slices.Reverse(asked)
		wantAnswer(t, s, "backwards", want, missing(asked...))
		wantAnswer(t, s, "all twice", want, missing(slices.Concat(asked, asked)...))
	}
	wantAnswer(t, s, "one that is there", nil, missing(ds[1], ds[1]))
	wantAnswer(t, s, "one that is not", ds[:1], missing(ds[0], ds[0]))
}
