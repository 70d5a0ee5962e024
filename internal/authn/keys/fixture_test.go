package keys_test

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/meta/sqlmeta"
)

const day = 24 * time.Hour

// fixture is Keys on a real store, with a clock and owners that tests change.
type fixture struct {
	*keys.Keys
	store *countingStore
	path  string // of the database

	mu     sync.Mutex
	now    time.Time
	groups map[string][]string // by "source/user"
	ids    map[string]string   // of entries, by "source/user"; a user without one cannot be told from a namesake
	fault  error               // of the directory
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{
		path: filepath.Join(t.TempDir(), "registry.db"), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		ids:    map[string]string{"ldap/bob": "bob's", "ldap/twin": "the twin's"},
		groups: map[string][]string{"htpasswd/alice": {"dev"}, "htpasswd/mallory": nil, "ldap/bob": {"dev", "ops"}, "ldap/twin": nil, "htpasswd/twin": nil},
	}
	f.reopen(t)
	t.Cleanup(func() {
		if err := errors.Join(f.Close(), f.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// reopen is what a restart does.
func (f *fixture) reopen(t testing.TB) {
	t.Helper()
	if f.store != nil {
		if err := errors.Join(f.Close(), f.store.Close()); err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlmeta.OpenSQLite(t.Context(), sqlmeta.SQLite{Path: f.path})
	if err != nil {
		t.Fatal(err)
	}
	f.store = &countingStore{Store: store}
	f.Keys = &keys.Keys{Meta: f.store, Owners: f, Sources: []string{"htpasswd", "ldap"}, Now: f.clock, Log: slog.New(slog.DiscardHandler)}
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// set changes the groups of a user; without any the user is gone.
func (f *fixture) set(user string, groups []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if groups == nil {
		delete(f.groups, user)
		return
	}
	f.groups[user] = groups
}

// identify changes the ID of the entry of a user.
func (f *fixture) identify(user, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids[user] = id
}

// Lookup is authn.Directory.
func (f *fixture) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	e, err := f.LookupEntry(ctx, source, user)
	return e.Who, e.Stamp, err
}

// LookupEntry is authn.Entries.
func (f *fixture) LookupEntry(_ context.Context, source, user string) (authn.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return authn.Entry{}, f.fault
	}
	groups, ok := f.groups[source+"/"+user]
	if !ok {
		return authn.Entry{}, authn.ErrNoMatch
	}
	return authn.Entry{Who: access.Identity{User: user, Source: source, Groups: groups}, Stamp: "stamp", ID: f.ids[source+"/"+user]}, nil
}

// countingStore counts, and can fail.
type countingStore struct {
	meta.Store
	views, full, relaxed atomic.Int64
	viewErr, updateErr   error
}

func (s *countingStore) View(ctx context.Context, fn func(meta.Tx) error) error {
	s.views.Add(1)
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

func robot(name string) keys.Request {
	return keys.Request{Name: name, May: []string{"push,pull:team/" + name}, Life: 90 * day}
}

func personal(user, name string) keys.Request {
	return keys.Request{Name: name, User: user, Life: 90 * day}
}

// create makes a key.
func (f *fixture) create(t testing.TB, r keys.Request) keys.Made {
	t.Helper()
	made, err := f.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// works checks that a key is good for somebody, and returns who it is.
func (f *fixture) works(t testing.TB, what, user, key string) access.Identity {
	t.Helper()
	who, err := f.VerifyPassword(t.Context(), user, key)
	if err != nil || who.With == nil || who.User == "" {
		t.Fatalf("%s: %+v, error %v", what, who, err)
	}
	return who
}

// refused checks that a key is good for nothing, for the reason given, neither as a
// password nor as a token.
func (f *fixture) refused(t testing.TB, what, user, key, why string) {
	t.Helper()
	who, err := f.VerifyPassword(t.Context(), user, key)
	f.isRefused(t, what, key, why, who, err, authn.ErrWrongPassword)
}

func (f *fixture) isRefused(t testing.TB, what, key, why string, who access.Identity, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: error %v; want %v with %q", what, err, kind, why)
	}
	if diff := cmp.Diff(access.Identity{}, who); diff != "" {
		t.Errorf("%s: with the error came an identity: %s", what, diff)
	}
	if err != nil && len(key) > 40 && strings.Contains(err.Error(), key[20:40]) {
		t.Errorf("%s: the error tells the secret: %v", what, err)
	}
	if err != nil && len(err.Error()) > 500 {
		t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
	}
}

// entry returns a key as it is listed.
func (f *fixture) entry(t testing.TB, id string) keys.Entry {
	t.Helper()
	list, err := f.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.ID == id {
			return e
		}
	}
	t.Fatalf("key %s is not listed", id)
	return keys.Entry{}
}

// withSum returns a key with a right checksum, as anybody can make one.
func withSum(body string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body)))
	return body + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum))
}
