package metatest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

func keyTests() []test {
	return []test{
		{"key comes back as it was saved", keyRoundTrip},
		{"key is replaced by saving it again", keyReplace},
		{"key that is deleted is gone", keyDelete},
		{"keys are in byte order and come in pages", keyPages},
		{"keys of an owner are in the order of their names", keysOfOwner},
		{"names of keys are free again, and free for others", keyNames},
		{"use of a key is noted, and nothing else", keyUse},
		{"keys that have expired go, the oldest first", keyExpires},
		{"key of a failed update is not there", keyOfFailedUpdate},
	}
}

func getKey(id string) func(meta.Tx) (meta.Key, error) {
	return func(tx meta.Tx) (meta.Key, error) { return tx.Key(id) }
}

// key returns a key of alice.
func key(id string) meta.Key {
	return meta.Key{
		ID: id, Name: "key " + id, Source: "htpasswd", User: "alice", Entry: "entry of alice", May: []string{"pull:team/**", "push:team/app"},
		Hash: []byte("\x00hash of \xff " + id), CreatedAt: now(), SecretAt: later(time.Second), ExpiresAt: later(time.Hour),
	}
}

func saveKeys(ks ...meta.Key) func(meta.Tx) error {
	return func(tx meta.Tx) error {
		for _, k := range ks {
			if err := tx.SaveKey(k); err != nil {
				return err
			}
		}
		return nil
	}
}

func wantNoKey(t *testing.T, s meta.Store, id string) {
	t.Helper()
	wantError(t, s, "Key "+id, meta.ErrNotFound, func(tx meta.Tx) error {
		_, err := tx.Key(id)
		return err
	})
}

func keyRoundTrip(t *testing.T, s meta.Store) {
	wantNoKey(t, s, "plain")
	odd := key("odd")
	odd.User, odd.Source, odd.Name = "ünï'\"codé \U0001f6a2", "ldap: people", "%_*?'; DROP TABLE access_keys; --"
	odd.May = []string{"", "a\nb", `"quoted"`, "ünï"}
	odd.OldHash, odd.OldUntil, odd.UsedAt = []byte{0, 0xff}, later(time.Microsecond), later(-100*365*24*time.Hour)
	robot := key("robot")
	robot.Entry = ""
	robot.Source, robot.User, robot.ExpiresAt, robot.May = "", "", time.Time{}, nil
	bare := meta.Key{ID: "bare"}
	for _, k := range []meta.Key{key("plain"), odd, robot, bare} {
		update(t, s, saveKeys(k))
		wantAnswer(t, s, "key", k, getKey(k.ID))
	}
	wantNoKey(t, s, "PLAIN")
	wantNoKey(t, s, "")
	got := ask(t, s, getKey("robot"))
	if got.CreatedAt.Location() != time.UTC || !got.ExpiresAt.IsZero() || !got.UsedAt.IsZero() || !got.OldUntil.IsZero() || got.OldHash != nil {
		t.Errorf("times in UTC, and none where there was none: %+v", got)
	}
}

func keyReplace(t *testing.T, s meta.Store) {
	update(t, s, saveKeys(key("id"), key("other")))
	other := meta.Key{
		ID: "id", Name: "n", Source: "ldap", User: "bob", Entry: "b", May: []string{"admin"}, Hash: []byte("h"), OldHash: []byte("o"), OldUntil: later(4 * time.Second),
		CreatedAt: later(1 * time.Second), SecretAt: later(2 * time.Second), ExpiresAt: later(3 * time.Second), UsedAt: later(5 * time.Second),
	}
	update(t, s, saveKeys(other))
	wantAnswer(t, s, "key", other, getKey("id"))
	wantAnswer(t, s, "the other one", key("other"), getKey("other"))
	update(t, s, saveKeys(key("id")))
	wantAnswer(t, s, "key as it was", key("id"), getKey("id"))
}

func keyDelete(t *testing.T, s meta.Store) {
	remove := func(tx meta.Tx) error { return tx.DeleteKey("id") }
	wantError(t, s, "DeleteKey of none", meta.ErrNotFound, remove)
	update(t, s, saveKeys(key("id"), key("other")))
	update(t, s, remove)
	wantNoKey(t, s, "id")
	wantError(t, s, "DeleteKey again", meta.ErrNotFound, remove)
	wantAnswer(t, s, "the other one", key("other"), getKey("other"))
}

func keyPages(t *testing.T, s meta.Store) {
	ids := append(trickyNames(), "A", "Z", "_")
	update(t, s, func(tx meta.Tx) error {
		for i, id := range ids {
			k := key(id)
			if k.User = fmt.Sprint("user", i%3); i%2 == 0 {
				k.Source, k.User = "", ""
			}
			if err := tx.SaveKey(k); err != nil {
				return err
			}
		}
		return nil
	})
	pages(t, s, sorted(ids), func(tx meta.Tx, after string, limit int) ([]string, error) {
		page, err := tx.ListKeys(after, limit)
		return idsOf(page), err
	})
	whole := ask(t, s, func(tx meta.Tx) ([]meta.Key, error) { return tx.ListKeys("_", 1) })
	if len(whole) != 1 {
		t.Fatalf("%d keys behind _, want 1", len(whole))
	}
	wantAnswer(t, s, "a listed key", whole[0], getKey(whole[0].ID))
}

func idsOf(keys []meta.Key) (ids []string) {
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return ids
}

func keysOfOwner(t *testing.T, s meta.Store) {
	of := func(id, name, source, user string) meta.Key {
		k := key(id)
		k.Name, k.Source, k.User = name, source, user
		return k
	}
	update(t, s, saveKeys(of("1", "b", "htpasswd", "alice"), of("2", "B", "htpasswd", "alice"), of("3", "a", "htpasswd", "alice"),
		of("4", "b", "ldap", "alice"), of("5", "b", "htpasswd", "Alice"), of("6", "z", "", ""), of("7", "b", "", "")))
	want := func(source, user string, limit int, ids ...string) {
		t.Helper()
		wantAnswer(t, s, "keys of "+source+"/"+user, ids, func(tx meta.Tx) ([]string, error) {
			list, err := tx.KeysOf(source, user, limit)
			return idsOf(list), err
		})
	}
	want("htpasswd", "alice", 9, "2", "3", "1")
	want("htpasswd", "alice", 2, "2", "3")
	want("htpasswd", "alice", 0)
	want("ldap", "alice", 9, "4")
	want("htpasswd", "Alice", 9, "5")
	want("", "", 9, "7", "6")
	want("", "alice", 9)
	want("htpasswd", "", 9)
	want("htpasswd", "%", 9)
	wantAnswer(t, s, "a whole one", []meta.Key{of("4", "b", "ldap", "alice")}, func(tx meta.Tx) ([]meta.Key, error) {
		return tx.KeysOf("ldap", "alice", 1)
	})
}

func keyNames(t *testing.T, s meta.Store) {
	first, second := key("1"), key("2")
	first.Name, second.Name = "laptop", "laptop"
	update(t, s, saveKeys(first))
	if err := s.Update(t.Context(), saveKeys(second)); err == nil {
		t.Error("an owner has two keys of one name")
	}
	wantNoKey(t, s, "2")
	second.User = "bob"
	update(t, s, saveKeys(second))
	update(t, s, func(tx meta.Tx) error { return tx.DeleteKey("1") })
	third := key("3")
	third.Name = "laptop"
	update(t, s, saveKeys(third))
	wantAnswer(t, s, "all", []string{"2", "3"}, func(tx meta.Tx) ([]string, error) {
		list, err := tx.ListKeys("", 9)
		return idsOf(list), err
	})
}

func keyUse(t *testing.T, s meta.Store) {
	update(t, s, saveKeys(key("id"), key("other")))
	note := func(id string, at time.Time) {
		t.Helper()
		if err := s.UpdateRelaxed(t.Context(), func(tx meta.Tx) error { return tx.NoteKeyUse(id, at) }); err != nil {
			t.Fatal(err)
		}
	}
	want := key("id")
	want.UsedAt = later(time.Minute)
	note("id", want.UsedAt)
	wantAnswer(t, s, "key that was used", want, getKey("id"))
	note("id", later(time.Second))
	wantAnswer(t, s, "key that was used before that", want, getKey("id"))
	want.UsedAt = later(2 * time.Minute)
	note("id", want.UsedAt)
	wantAnswer(t, s, "key that was used again", want, getKey("id"))
	wantAnswer(t, s, "the other one", key("other"), getKey("other"))
	note("gone", now())
	wantNoKey(t, s, "gone")
}

func keyExpires(t *testing.T, s meta.Store) {
	at := func(id string, expires time.Time) meta.Key {
		k := key(id)
		k.ExpiresAt = expires
		return k
	}
	update(t, s, saveKeys(at("a-third", later(-time.Microsecond)), at("c-first", later(-3*time.Hour)), at("b-second", later(-2*time.Hour)),
		at("now", now()), at("future", later(time.Microsecond)), at("ever", time.Time{})))
	remove := func(limit, want int, left ...string) {
		t.Helper()
		got := 0
		update(t, s, func(tx meta.Tx) (err error) {
			got, err = tx.DeleteExpiredKeys(now(), limit)
			return err
		})
		if got != want {
			t.Errorf("at most %d: %d removed, want %d", limit, got, want)
		}
		wantAnswer(t, s, "what is left", left, func(tx meta.Tx) ([]string, error) {
			list, err := tx.ListKeys("", 10)
			return slices.Clip(idsOf(list)), err
		})
	}
	remove(0, 0, "a-third", "b-second", "c-first", "ever", "future", "now")
	remove(2, 2, "a-third", "ever", "future", "now")
	remove(2, 1, "ever", "future", "now")
	remove(2, 0, "ever", "future", "now")
}

func keyOfFailedUpdate(t *testing.T, s meta.Store) {
	wantError(t, s, "an update that fails", meta.ErrNotFound, func(tx meta.Tx) error {
		if err := tx.SaveKey(key("id")); err != nil {
			return err
		}
		return tx.DeleteKey("another")
	})
	wantNoKey(t, s, "id")
}
