package refresh_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
)

// meanwhile is a directory during whose answer something else happens.
type meanwhile struct {
	authn.Directory
	do func()
}

func (m meanwhile) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	m.do()
	return m.Directory.Lookup(ctx, source, user)
}

// stored returns what is kept of a token.
func (f *fixture) stored(t *testing.T, token string) meta.RefreshToken {
	t.Helper()
	var r meta.RefreshToken
	err := f.store.View(t.Context(), func(tx meta.Tx) (err error) {
		r, err = tx.RefreshToken(id(token))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTokenExpiresAfterItsLastUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	used, unused := f.issue(t, user("alice")), f.issue(t, user("alice"))
	f.now = f.now.Add(ttl - time.Microsecond)
	f.works(t, "just before", used)
	f.now = f.now.Add(time.Microsecond)
	f.refused(t, "not used for its time", unused, "expired")
	f.works(t, "used", used)
	if diff := cmp.Diff([]string{id(used)}, f.ids(t, "")); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	f.now = f.now.Add(ttl - time.Microsecond)
	f.refused(t, "used before its time again", used, "expired")
}

func TestUsesAreNotedOnceAnHour(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.issue(t, user("alice"))
	full := f.store.full.Load()
	for _, step := range []struct {
		pass   time.Duration
		writes int64 // so far
	}{
		{0, 0},
		{59*time.Minute + 59*time.Second, 0},
		{time.Second, 1},
		{0, 1},
		{time.Minute, 1},
		{-10 * time.Hour, 1}, // a clock that was set back
		{20 * time.Hour, 2},
	} {
		f.now = f.now.Add(step.pass)
		before := f.stored(t, token)
		noted := f.store.relaxed.Load()
		f.works(t, "use", token)
		if got := f.store.relaxed.Load(); got != step.writes {
			t.Fatalf("after %v: %d writes, want %d", step.pass, got, step.writes)
		}
		if noted != step.writes {
			before.UsedAt, before.ExpiresAt = f.now, f.now.Add(ttl)
		}
		if diff := cmp.Diff(before, f.stored(t, token)); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", step.pass, diff)
		}
	}
	if got := f.store.full.Load(); got != full {
		t.Errorf("%d writes waited for the disk", got-full)
	}
}

// With a life shorter than an hour a use is noted in time too.
func TestShortLife(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.TTL = 10 * time.Minute
	token := f.issue(t, user("alice"))
	for range 5 {
		f.now = f.now.Add(6 * time.Minute)
		f.works(t, "each six minutes", token)
	}
	f.now = f.now.Add(10 * time.Minute)
	f.refused(t, "after ten minutes", token, "expired")
}

func TestExpiredTokensGoWhenOthersAreIssued(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 3 {
		f.issue(t, user("mallory"))
	}
	f.now = f.now.Add(ttl + time.Microsecond)
	f.issue(t, user("alice"))
	n := 0
	err := f.store.View(t.Context(), func(tx meta.Tx) error {
		all, err := tx.ListRefreshTokens("", "", 10)
		n = len(all)
		return err
	})
	if n != 1 || err != nil {
		t.Errorf("%d tokens are stored, error %v; want the new one", n, err)
	}
}

func TestTheLeastUsedMakesRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.MaxPerUser = 3
	ldap := f.issue(t, access.Identity{User: "alice", Source: "ldap"}) // older than all
	var tokens []string
	for range 3 {
		f.now = f.now.Add(2 * time.Hour)
		tokens = append(tokens, f.issue(t, user("alice")))
	}
	f.now = f.now.Add(2 * time.Hour)
	f.works(t, "the oldest, which is in use", tokens[0])
	f.now = f.now.Add(2 * time.Hour)
	mallory := f.issue(t, user("mallory"))
	fourth := f.issue(t, user("alice"))
	f.refused(t, "the one not used for longest", tokens[1], "there is none with the ID")
	for _, token := range []string{tokens[0], tokens[2], fourth, ldap} {
		f.works(t, "one of the others", token)
	}
	if got := f.ids(t, "mallory"); !slices.Equal(got, []string{id(mallory)}) {
		t.Errorf("another user has %v", got)
	}

	// A lower bound takes effect with the next.
	f.MaxPerUser = 1
	last := f.issue(t, user("alice"))
	want := []string{id(ldap), id(last)}
	if got := f.ids(t, "alice"); !slices.Equal(got, want) {
		t.Errorf("alice has %v, want %v", got, want)
	}
}

func TestAHundredTokensIfNobodySaysOtherwise(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 102 {
		f.issue(t, user("alice"))
	}
	if got := len(f.ids(t, "alice")); got != 100 {
		t.Errorf("alice has %d tokens, want 100", got)
	}
}
