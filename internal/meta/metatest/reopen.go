package metatest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/meta"
)

// Reopen checks that what was committed is there after the store was closed and
// opened again. open opens the same data each time, which is empty at first.
func Reopen(t *testing.T, open func(t testing.TB) meta.Store) {
	m := manifest(1)
	m.Subject, m.ArtifactType, m.Annotations = digest("subject"), "text/x", map[string]string{"a": "b"}
	before := contents{
		Repositories: []string{"app"}, Tags: []string{"v1"},
		Manifest: m, Tag: meta.Tag{Name: "v1", Digest: m.Digest, SetAt: now(), SetBy: "alice"},
		BlobSize: 9, Upload: upload("u"), Relaxed: upload("relaxed"),
		Token: token("t"), Key: key("k"), Reviews: []meta.Review{review("gone", time.Hour)}, Using: []string{"v1"},
	}
	s := open(t)
	update(t, s, func(tx meta.Tx) error {
		return errors.Join(naming(tx, "app", m, of(digest(1)), nil, "v1"), saveTokens(token("t"))(tx), saveKeys(key("k"))(tx), tx.LinkBlob("app", digest(1), 9, now()), saveReviews(review("gone", time.Hour))(tx), save(upload("u"))(tx))
	})
	if err := s.UpdateRelaxed(t.Context(), save(upload("relaxed"))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		s = open(t)
		if diff := cmp.Diff(before, ask(t, s, read)); diff != "" {
			t.Errorf("after opening again (-want +got):\n%s", diff)
		}
	}
	moved := later(time.Hour)
	update(t, s, func(tx meta.Tx) error {
		return tx.SetTag("app", meta.Tag{Name: "v1", Digest: m.Digest, SetAt: moved})
	})
	if got := ask(t, s, getTag("app", "v1")); !got.SetAt.Equal(moved) {
		t.Errorf("a write after opening again is not there: %v", got)
	}
}

// contents is one of everything that a store keeps.
type contents struct {
	Repositories, Tags []string
	Manifest           meta.Manifest
	Tag                meta.Tag
	BlobSize           int64
	Upload, Relaxed    meta.Upload
	Token              meta.RefreshToken
	Key                meta.Key
	Using              []string
	Reviews            []meta.Review
}

func read(tx meta.Tx) (c contents, err error) {
	var errs [11]error
	c.Repositories, errs[0] = tx.Catalog("", 10)
	c.Tags, errs[1] = tx.TagNames("app", "", 10)
	c.Manifest, errs[2] = tx.ManifestByTag("app", "v1")
	c.Tag, errs[3] = tx.Tag("app", "v1")
	c.BlobSize, errs[4] = tx.BlobSize("app", digest(1))
	c.Upload, errs[5] = tx.Upload("u")
	c.Relaxed, errs[6] = tx.Upload("relaxed")
	c.Token, errs[7] = tx.RefreshToken("t")
	c.Using, errs[8] = tx.TagsUsing("app", digest(1))
	c.Reviews, errs[9] = due(later(time.Hour))(tx)
	c.Key, errs[10] = tx.Key("k")
	return c, errors.Join(errs[:]...)
}
