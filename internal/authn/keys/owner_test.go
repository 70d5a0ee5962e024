package keys_test

import (
	"context"
	"errors"
	"testing"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/meta"
)

// isGone checks that there is no key any more.
func (f *fixture) isGone(t *testing.T, what, id string) {
	t.Helper()
	err := f.store.Store.View(t.Context(), func(tx meta.Tx) error {
		_, err := tx.Key(id)
		return err
	})
	if !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("%s: the key is there still: %v", what, err)
	}
}

// TestNamesakeHasNoKey: where entries cannot be told apart, a key ends for good when
// its owner was found gone: when it was used meanwhile, or at the next sweep.
func TestNamesakeHasNoKey(t *testing.T) {
	t.Parallel()
	sweep := func(t *testing.T, f *fixture, _ keys.Made) {
		t.Helper()
		if err := f.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for how, meanwhile := range map[string]func(*testing.T, *fixture, keys.Made){
		"used": func(t *testing.T, f *fixture, made keys.Made) {
			t.Helper()
			f.refused(t, "while alice is gone", "alice", made.Secret, "is gone from htpasswd, so it has ended")
		},
		"used as a token": func(t *testing.T, f *fixture, made keys.Made) {
			t.Helper()
			got, err := f.Bearer(nobody{t}).VerifyToken(t.Context(), made.Secret)
			f.isRefused(t, "while alice is gone", made.Secret, "has ended", got.Who, err, authn.ErrNoMatch)
		},
		"used by a client that hangs up": func(t *testing.T, f *fixture, made keys.Made) {
			t.Helper()
			f.works(t, "before, so that no database is asked", "mallory", f.create(t, personal("mallory", "x")).Secret)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, _ = f.VerifyPassword(ctx, "alice", made.Secret) // how it ends is not the question
		},
		"swept": sweep,
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			made, other := f.create(t, personal("alice", "laptop")), f.create(t, personal("mallory", "laptop"))
			f.works(t, "at first", "alice", made.Secret)
			f.set("htpasswd/alice", nil)
			meanwhile(t, f, made)
			f.set("htpasswd/alice", []string{"dev"})
			f.refused(t, "of a namesake", "alice", made.Secret, "there is no key")
			f.isGone(t, "of a namesake", made.ID)
			f.works(t, "of another user", "mallory", other.Secret)
			f.create(t, personal("alice", "laptop")) // the name is free
		})
	}
}

// TestKeyWaitsForItsEntry: where the directory tells entries apart, a key is that of
// one entry, and ends for good when another has the name.
func TestKeyWaitsForItsEntry(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, personal("bob", "laptop"))
	unused := f.create(t, personal("bob", "unused"))
	f.set("ldap/bob", nil)
	f.refused(t, "locked", "bob", made.Secret, "is gone from ldap, or is locked there")
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.set("ldap/bob", []string{})
	f.works(t, "unlocked", "bob", made.Secret)

	f.identify("ldap/bob", "") // the directory does not show it any more
	if _, err := f.VerifyPassword(t.Context(), "bob", made.Secret); err == nil || errors.Is(err, authn.ErrWrongPassword) {
		t.Errorf("whose entry cannot be told: error %v, want a fault", err)
	}
	f.reopen(t)
	f.identify("ldap/bob", "another's")
	f.refused(t, "of a namesake", "bob", made.Secret, "another has the name now, so it has ended")
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.identify("ldap/bob", "bob's")
	f.refused(t, "that has ended", "bob", made.Secret, "there is no key")
	f.refused(t, "that nobody used", "bob", unused.Secret, "there is no key")
}

// TestFaultsEndNoKey: a directory that cannot answer, or is not configured any more,
// has lost nobody.
func TestFaultsEndNoKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, personal("alice", "laptop"))
	f.fault = errors.New("the directory does not answer")
	if _, err := f.VerifyPassword(t.Context(), "alice", made.Secret); !errors.Is(err, f.fault) {
		t.Errorf("error %v, want the fault", err)
	}
	if err := f.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	f.fault = nil
	f.works(t, "after a fault", "alice", made.Secret)

	f.Sources = []string{"ldap"}
	f.set("htpasswd/alice", nil)
	f.refused(t, "of a source that is not configured", "alice", made.Secret, "is gone from htpasswd")
	if err := f.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	f.Sources = []string{"ldap", "htpasswd"}
	f.set("htpasswd/alice", []string{})
	f.works(t, "after it is configured again", "alice", made.Secret)

	// What cannot be ended is not said to have ended, and lets nobody in.
	f.set("htpasswd/alice", nil)
	f.store.updateErr = errors.New("no space")
	if _, err := f.VerifyPassword(t.Context(), "alice", made.Secret); !errors.Is(err, f.store.updateErr) {
		t.Errorf("error %v, want that of the database", err)
	}
	if err := f.Sweep(t.Context()); !errors.Is(err, f.store.updateErr) {
		t.Errorf("error %v, want that of the database", err)
	}
	f.store.updateErr = nil
}
