package refresh_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
	"github.com/moorgate/moorgate/internal/refresh"
)

// fixture is Tokens on a real store, with a clock and users that tests change.
type fixture struct {
	*refresh.Tokens
	now   time.Time
	users people
	fault error // of the directory
	store *countingStore
}

// people are stamps of passwords, by source and user: "htpasswd/alice".
type people map[string]string

const (
	service = "registry.example"
	ttl     = 30 * 24 * time.Hour
)

func newFixture(t *testing.T) *fixture {
	t.Helper()
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: filepath.Join(t.TempDir(), "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{
		now:   time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		users: people{"htpasswd/alice": "hash 1", "htpasswd/mallory": "hash m", "ldap/alice": "hash 1"},
		store: &countingStore{Store: store},
	}
	f.Tokens = &refresh.Tokens{Meta: f.store, Users: f, TTL: ttl, Now: func() time.Time { return f.now }}
	return f
}

// Lookup is authn.Directory.
func (f *fixture) Lookup(_ context.Context, source, user string) (access.Identity, string, error) {
	if f.fault != nil {
		return access.Identity{}, "", f.fault
	}
	stamp, ok := f.users[source+"/"+user]
	if !ok {
		return access.Identity{}, "", authn.ErrNoMatch
	}
	return access.Identity{User: user, Source: source, Groups: []string{"group of " + stamp}}, stamp, nil
}

// countingStore counts writes, and can fail.
type countingStore struct {
	meta.Store
	full, relaxed atomic.Int64
	viewErr       error
	updateErr     error
}

func (s *countingStore) View(ctx context.Context, fn func(meta.Tx) error) error {
	if s.viewErr != nil {
		return s.viewErr
	}
	return s.Store.View(ctx, fn)
}

func (s *countingStore) Update(ctx context.Context, fn func(meta.Tx) error) error {
	s.full.Add(1)
	if s.updateErr != nil {
		return s.updateErr
	}
	return s.Store.Update(ctx, fn)
}

func (s *countingStore) UpdateRelaxed(ctx context.Context, fn func(meta.Tx) error) error {
	s.relaxed.Add(1)
	if s.updateErr != nil {
		return s.updateErr
	}
	return s.Store.UpdateRelaxed(ctx, fn)
}

func user(name string) access.Identity { return access.Identity{User: name, Source: "htpasswd"} }

// issue returns a new token of a user of the password file.
func (f *fixture) issue(t *testing.T, who access.Identity) string {
	t.Helper()
	token, err := f.Issue(t.Context(), who, service, "docker")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// id is the part of a token that is no secret.
func id(token string) string { return strings.Split(token, "_")[1] }

// works checks that a token is good for its user.
func (f *fixture) works(t *testing.T, what, token string) {
	t.Helper()
	who, err := f.Redeem(t.Context(), token, service)
	if err != nil || who.User != "alice" {
		t.Errorf("%s: %+v, error %v; want alice", what, who, err)
	}
}

// refused checks that a token is good for nothing, for the reason given.
func (f *fixture) refused(t *testing.T, what, token, why string) {
	t.Helper()
	f.refusedFor(t, what, token, service, why)
}

func (f *fixture) refusedFor(t *testing.T, what, token, service, why string) {
	t.Helper()
	who, err := f.Redeem(t.Context(), token, service)
	if !errors.Is(err, refresh.ErrInvalid) || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: error %v; want ErrInvalid with %q", what, err, why)
	}
	if diff := cmp.Diff(access.Identity{}, who); diff != "" {
		t.Errorf("%s: with the error came an identity: %s", what, diff)
	}
	if err != nil && strings.Count(token, "_") == 2 && !strings.HasSuffix(token, "_") && strings.Contains(err.Error(), strings.Split(token, "_")[2]) {
		t.Errorf("%s: the error tells the secret: %v", what, err)
	}
}

// ids returns the IDs of what is listed.
func (f *fixture) ids(t *testing.T, user string) []string {
	t.Helper()
	entries, err := f.List(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}
