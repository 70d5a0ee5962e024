package metatest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

func uploadTests() []test {
	return []test{
		{"upload comes back as it was saved", uploadRoundTrip},
		{"upload is replaced by saving it again", uploadReplace},
		{"upload that is deleted is gone", uploadDelete},
		{"upload expires unless somebody holds a lease", uploadExpires},
		{"uploads are counted by owner", uploadCount},
	}
}

func getUpload(id string) func(meta.Tx) (meta.Upload, error) {
	return func(tx meta.Tx) (meta.Upload, error) { return tx.Upload(id) }
}

// upload returns a session as it is when it starts.
func upload(id string) meta.Upload {
	return meta.Upload{
		Repo: "team/app", Owner: "user:alice",
		State:     blob.State{ID: id, Algorithm: oci.SHA256},
		StartedAt: now(), ExpiresAt: later(time.Hour),
	}
}

func save(us ...meta.Upload) func(meta.Tx) error {
	return func(tx meta.Tx) error {
		for _, u := range us {
			if err := tx.SaveUpload(u); err != nil {
				return err
			}
		}
		return nil
	}
}

func uploadRoundTrip(t *testing.T, s meta.Store) {
	full := upload("full")
	full.State = blob.State{
		ID: "full", Algorithm: oci.SHA512, Offset: 1 << 41,
		Hash: []byte("sha\x03\x00\xff"), Store: []byte("\x00\x01{}'"),
	}
	full.LeaseBy, full.LeaseUntil = "request-1", later(time.Minute)
	anonymous := upload("anonymous")
	anonymous.Owner = ""
	for _, u := range []meta.Upload{upload("new"), full, anonymous} {
		update(t, s, save(u))
		wantAnswer(t, s, "upload", u, getUpload(u.State.ID))
	}
	locked := meta.Upload{}
	update(t, s, func(tx meta.Tx) (err error) {
		locked, err = tx.Upload("full")
		return err
	})
	if locked.State.Offset != full.State.Offset {
		t.Errorf("in an Update: offset %d, want %d", locked.State.Offset, full.State.Offset)
	}
	if got := ask(t, s, getUpload("new")); !got.LeaseUntil.IsZero() || got.StartedAt.Location() != time.UTC {
		t.Errorf("times are %v and %v, want zero and UTC", got.LeaseUntil, got.StartedAt)
	}
}

func uploadReplace(t *testing.T, s meta.Store) {
	u := upload("id")
	u.State.Hash, u.State.Store, u.State.Offset = []byte("hash"), []byte("store"), 5
	update(t, s, save(u, upload("other")))
	u = meta.Upload{
		Repo: "else", Owner: "user:bob", State: blob.State{ID: "id", Algorithm: oci.SHA512},
		StartedAt: later(time.Microsecond), ExpiresAt: later(2 * time.Hour), LeaseBy: "x", LeaseUntil: later(3 * time.Second),
	}
	update(t, s, save(u))
	wantAnswer(t, s, "upload", u, getUpload("id"))
	wantAnswer(t, s, "the other one", upload("other"), getUpload("other"))
}

func uploadDelete(t *testing.T, s meta.Store) {
	remove := func(tx meta.Tx) error { return tx.DeleteUpload("id") }
	update(t, s, remove)
	update(t, s, save(upload("id"), upload("other")))
	for range 2 {
		update(t, s, remove)
		wantError(t, s, "Upload", meta.ErrNotFound, func(tx meta.Tx) error {
			_, err := tx.Upload("id")
			return err
		})
	}
	wantAnswer(t, s, "the other one", upload("other"), getUpload("other"))
}

func uploadExpires(t *testing.T, s meta.Store) {
	at := func(id string, expires time.Time, lease time.Time) meta.Upload {
		u := upload(id)
		u.ExpiresAt = expires
		if !lease.IsZero() {
			u.LeaseBy, u.LeaseUntil = "somebody", lease
		}
		return u
	}
	none := time.Time{}
	third := at("third", later(-1*time.Second), none)
	first := at("first", later(-3*time.Second), none)
	second := at("second", later(-2*time.Second), later(-time.Second))
	alive := []meta.Upload{
		at("future", later(time.Second), none), at("now", now(), none),
		at("leased", later(-4*time.Second), later(time.Second)),
	}
	update(t, s, save(slices.Concat([]meta.Upload{third, first, second}, alive)...))
	for limit, want := range [][]meta.Upload{{}, {first}, {first, second}, {first, second, third}, {first, second, third}} {
		wantAnswer(t, s, fmt.Sprintf("at most %d", limit), want, func(tx meta.Tx) ([]meta.Upload, error) {
			return tx.ExpiredUploads(now(), limit)
		})
	}
}

func uploadCount(t *testing.T, s meta.Store) {
	count := func(owner string) func(meta.Tx) (int, error) {
		return func(tx meta.Tx) (int, error) { return tx.CountUploads(owner) }
	}
	anonymous := upload("anonymous")
	anonymous.Owner = ""
	update(t, s, save(upload("1"), upload("2"), upload("2"), anonymous))
	for owner, want := range map[string]int{"user:alice": 2, "": 1, "user:bob": 0, "user:Alice": 0} {
		wantAnswer(t, s, "count of "+owner, want, count(owner))
	}
	update(t, s, func(tx meta.Tx) error { return tx.DeleteUpload("1") })
	wantAnswer(t, s, "count after one is gone", 1, count("user:alice"))
}
