package metatest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/meta"
)

func refreshTokenTests() []test {
	return []test{
		{"refresh token comes back as it was saved", tokenRoundTrip},
		{"refresh token is replaced by saving it again", tokenReplace},
		{"refresh token that is deleted is gone", tokenDelete},
		{"refresh tokens are in byte order and come in pages", tokenPages},
		{"refresh tokens are counted by source and user", tokenCount},
		{"refresh tokens that have expired go, the oldest first", tokenExpires},
		{"refresh token of a failed update is not there", tokenOfFailedUpdate},
	}
}

func getToken(id string) func(meta.Tx) (meta.RefreshToken, error) {
	return func(tx meta.Tx) (meta.RefreshToken, error) { return tx.RefreshToken(id) }
}

// token returns a refresh token as it is when it is issued to alice.
func token(id string) meta.RefreshToken {
	return meta.RefreshToken{
		ID: id, Hash: []byte("\x00hash of \xff " + id), Source: "htpasswd", User: "alice", Stamp: []byte("\xfestamp\x00"),
		Service: "registry.example", Client: "docker", IssuedAt: now(), UsedAt: now(), ExpiresAt: later(time.Hour),
	}
}

func saveTokens(ts ...meta.RefreshToken) func(meta.Tx) error {
	return func(tx meta.Tx) error {
		for _, r := range ts {
			if err := tx.SaveRefreshToken(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func wantNoToken(t *testing.T, s meta.Store, id string) {
	t.Helper()
	wantError(t, s, "RefreshToken "+id, meta.ErrNotFound, func(tx meta.Tx) error {
		_, err := tx.RefreshToken(id)
		return err
	})
}

func tokenRoundTrip(t *testing.T, s meta.Store) {
	wantNoToken(t, s, "plain")
	odd := token("odd")
	odd.User, odd.Source, odd.Service, odd.Client = "ünï'\"codé \U0001f6a2", "ldap: people", "https://registry.example:5000/", ""
	odd.UsedAt, odd.ExpiresAt = later(time.Microsecond), later(100*365*24*time.Hour)
	bare := meta.RefreshToken{ID: "bare"}
	for _, r := range []meta.RefreshToken{token("plain"), odd, bare} {
		update(t, s, saveTokens(r))
		wantAnswer(t, s, "token", r, getToken(r.ID))
	}
	wantNoToken(t, s, "PLAIN")
	wantNoToken(t, s, "")
	if got := ask(t, s, getToken("plain")); got.IssuedAt.Location() != time.UTC {
		t.Errorf("the time is %v, want UTC", got.IssuedAt)
	}
}

func tokenReplace(t *testing.T, s meta.Store) {
	update(t, s, saveTokens(token("id"), token("other")))
	other := meta.RefreshToken{
		ID: "id", Hash: []byte("h"), Source: "ldap", User: "bob", Stamp: []byte("s"), Service: "else", Client: "skopeo",
		IssuedAt: later(1 * time.Second), UsedAt: later(2 * time.Second), ExpiresAt: later(3 * time.Second),
	}
	update(t, s, saveTokens(other))
	wantAnswer(t, s, "token", other, getToken("id"))
	wantAnswer(t, s, "the other one", token("other"), getToken("other"))
	other.UsedAt = later(time.Minute)
	if err := s.UpdateRelaxed(t.Context(), saveTokens(other)); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, s, "token after a relaxed update", other, getToken("id"))
}

func tokenDelete(t *testing.T, s meta.Store) {
	remove := func(tx meta.Tx) error { return tx.DeleteRefreshToken("id") }
	wantError(t, s, "DeleteRefreshToken of none", meta.ErrNotFound, remove)
	update(t, s, saveTokens(token("id"), token("other")))
	update(t, s, remove)
	wantNoToken(t, s, "id")
	wantError(t, s, "DeleteRefreshToken again", meta.ErrNotFound, remove)
	wantAnswer(t, s, "the other one", token("other"), getToken("other"))
}

func tokenPages(t *testing.T, s meta.Store) {
	ids := append(trickyNames(), "A", "Z", "_")
	var all []string
	update(t, s, func(tx meta.Tx) error {
		all = nil
		for i, user := range []string{"alice", "bob", "Alice"} {
			for _, id := range ids {
				r := token(fmt.Sprint(id, i))
				// One user of two sources is one user here.
				if r.User = user; len(id) > 1 {
					r.Source = "ldap"
				}
				if err := tx.SaveRefreshToken(r); err != nil {
					return err
				}
				all = append(all, r.ID)
			}
		}
		return nil
	})
	list := func(user string) func(tx meta.Tx, after string, limit int) ([]string, error) {
		return func(tx meta.Tx, after string, limit int) (got []string, err error) {
			page, err := tx.ListRefreshTokens(user, after, limit)
			for _, r := range page {
				got = append(got, r.ID)
			}
			return got, err
		}
	}
	pages(t, s, sorted(all), list(""))
	pages(t, s, sorted(all[len(ids):2*len(ids)]), list("bob"))
	pages(t, s, sorted(all[2*len(ids):]), list("Alice"))
	pages(t, s, nil, list("carol"))
	whole := ask(t, s, func(tx meta.Tx) ([]meta.RefreshToken, error) { return tx.ListRefreshTokens("bob", "ab0", 1) })
	want := token("ab1")
	want.User, want.Source = "bob", "ldap"
	if diff := cmp.Diff([]meta.RefreshToken{want}, whole); diff != "" {
		t.Errorf("a listed token (-want +got):\n%s", diff)
	}
}

func tokenCount(t *testing.T, s meta.Store) {
	of := func(id, source, user string) meta.RefreshToken {
		r := token(id)
		r.Source, r.User = source, user
		return r
	}
	update(t, s, saveTokens(of("1", "htpasswd", "alice"), of("2", "htpasswd", "alice"), of("2", "htpasswd", "alice"),
		of("3", "ldap", "alice"), of("4", "htpasswd", "bob"), of("5", "htpasswd", "Alice")))
	count := func(source, user string, want int) {
		t.Helper()
		wantAnswer(t, s, "count of "+source+"/"+user, want, func(tx meta.Tx) (int, error) { return tx.CountRefreshTokens(source, user) })
	}
	count("htpasswd", "alice", 2)
	count("ldap", "alice", 1)
	count("htpasswd", "bob", 1)
	count("ldap", "bob", 0)
	count("", "alice", 0)
	count("htpasswd", "", 0)
	update(t, s, func(tx meta.Tx) error { return tx.DeleteRefreshToken("1") })
	count("htpasswd", "alice", 1)
}

func tokenExpires(t *testing.T, s meta.Store) {
	at := func(id string, expires time.Time) meta.RefreshToken {
		r := token(id)
		r.ExpiresAt = expires
		return r
	}
	update(t, s, saveTokens(at("a-third", later(-time.Microsecond)), at("c-first", later(-3*time.Hour)), at("b-second", later(-2*time.Hour)),
		at("now", now()), at("future", later(time.Microsecond))))
	remove := func(limit, want int, left ...string) {
		t.Helper()
		got := 0
		update(t, s, func(tx meta.Tx) (err error) {
			got, err = tx.DeleteExpiredRefreshTokens(now(), limit)
			return err
		})
		if got != want {
			t.Errorf("at most %d: %d removed, want %d", limit, got, want)
		}
		wantAnswer(t, s, "what is left", left, func(tx meta.Tx) (ids []string, err error) {
			all, err := tx.ListRefreshTokens("", "", 10)
			for _, r := range all {
				ids = append(ids, r.ID)
			}
			return ids, err
		})
	}
	remove(0, 0, "a-third", "b-second", "c-first", "future", "now")
	remove(2, 2, "a-third", "future", "now")
	remove(2, 1, "future", "now")
	remove(2, 0, "future", "now")
}

func tokenOfFailedUpdate(t *testing.T, s meta.Store) {
	wantError(t, s, "an update that fails", meta.ErrNotFound, func(tx meta.Tx) error {
		if err := tx.SaveRefreshToken(token("id")); err != nil {
			return err
		}
		return tx.DeleteRefreshToken("another")
	})
	wantNoToken(t, s, "id")
}
