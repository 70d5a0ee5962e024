package refresh_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/refresh"
)

func TestTokenIsGoodForWhoeverGotIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one, two := f.issue(t, user("alice")), f.issue(t, user("alice"))
	for _, token := range []string{one, two} {
		if !regexp.MustCompile(`^mgr_[a-z0-9]{16}_[a-z0-9]{32,}$`).MatchString(token) {
			t.Errorf("the token is %q", token)
		}
		for range 2 { // it is not used up
			f.works(t, "token", token)
		}
	}
	if id(one) == id(two) || strings.Split(one, "_")[2] == strings.Split(two, "_")[2] {
		t.Errorf("two tokens have something in common: %s, %s", one, two)
	}
	who, err := f.Redeem(t.Context(), one, service)
	want := access.Identity{User: "alice", Source: "htpasswd", Groups: []string{"group of hash 1"}}
	if diff := cmp.Diff(want, who); err != nil || diff != "" {
		t.Errorf("error %v; identity (-want +got):\n%s", err, diff)
	}
}

// What is stored does not help who steals the database.
func TestSecretIsNotStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.issue(t, user("alice"))
	secret := strings.Split(token, "_")[2]
	err := f.store.View(t.Context(), func(tx meta.Tx) error {
		r, err := tx.RefreshToken(id(token))
		if err != nil {
			return err
		}
		for what, text := range map[string]string{"hash": string(r.Hash), "stamp": string(r.Stamp), "client": r.Client} {
			if strings.Contains(text, secret) || strings.Contains(text, "hash 1") {
				t.Errorf("the stored %s is %q", what, text)
			}
		}
		if len(r.Hash) != 32 || len(r.Stamp) != 32 {
			t.Errorf("hash and stamp have %d and %d bytes, want 32", len(r.Hash), len(r.Stamp))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNobodyGetsATokenWithoutSigningIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if token, err := f.Issue(t.Context(), access.Anonymous(), service, ""); err == nil || token != "" {
		t.Errorf("anonymous got %q, error %v", token, err)
	}
	for _, who := range []access.Identity{user("nobody"), {User: "alice", Source: "elsewhere"}} {
		if token, err := f.Issue(t.Context(), who, service, ""); !errors.Is(err, authn.ErrNoMatch) || token != "" {
			t.Errorf("%+v got %q, error %v; want ErrNoMatch", who, token, err)
		}
	}
	if got := f.ids(t, ""); len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
}

func TestListAndRevoke(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.issue(t, user("alice"))
	f.now = f.now.Add(time.Minute)
	second := f.issue(t, access.Identity{User: "alice", Source: "ldap"})
	f.now = f.now.Add(time.Minute)
	other := f.issue(t, user("mallory"))
	if diff := cmp.Diff([]string{id(first), id(second), id(other)}, f.ids(t, "")); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	got, err := f.List(t.Context(), "mallory")
	want := []refresh.Entry{{
		ID: id(other), User: "mallory", Source: "htpasswd", Service: service, Client: "docker",
		IssuedAt: f.now, UsedAt: f.now, Expires: f.now.Add(ttl),
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("mallory: error %v (-want +got):\n%s", err, diff)
	}
	if got := f.ids(t, "nobody"); len(got) != 0 {
		t.Errorf("of nobody: %v", got)
	}

	if err := f.Revoke(t.Context(), id(first)); err != nil {
		t.Error(err)
	}
	f.refused(t, "revoked", first, "there is none with the ID")
	f.works(t, "the other one", second)
	for _, id := range []string{id(first), "", second, "no id", id(second)[:15], id(second) + "\n", strings.Repeat("a", 1<<20)} {
		if err := f.Revoke(t.Context(), id); !errors.Is(err, refresh.ErrInvalid) || len(err.Error()) > 300 {
			t.Errorf("revoke %.40q: error %.400v", id, err)
		}
	}
	f.works(t, "still the other one", second)
}

func TestWhoHoldsATokenMayEndIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, other := f.issue(t, user("alice")), f.issue(t, user("alice"))
	guess := "mgr_" + id(token) + "_" + strings.Split(other, "_")[2] // to know its ID is not enough
	for _, text := range []string{guess, "", "nonsense", token + "x"} {
		if ended, ok, err := f.End(t.Context(), text); ok || err != nil {
			t.Errorf("%q: %+v, %v, %v", text, ended, ok, err)
		}
	}
	f.works(t, "not given back", token)
	for _, there := range []bool{true, false} {
		ended, ok, err := f.End(t.Context(), token)
		if ok != there || err != nil || ok && (ended.ID != id(token) || ended.User != "alice" || ended.Source != "htpasswd") {
			t.Errorf("%+v, %v, %v", ended, ok, err)
		}
	}
	f.refused(t, "given back", token, "there is none with the ID")
	f.works(t, "the other", other)
}

func TestRevokeUserEndsAllOfOneUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tokens := []string{f.issue(t, user("alice")), f.issue(t, user("alice")), f.issue(t, access.Identity{User: "alice", Source: "ldap"})}
	other := f.issue(t, user("mallory"))
	for user, want := range map[string]int{"nobody": 0, "ALICE": 0} {
		if n, err := f.RevokeUser(t.Context(), user); n != want || err != nil {
			t.Errorf("%s: %d, error %v", user, n, err)
		}
	}
	if n, err := f.RevokeUser(t.Context(), ""); n != 0 || err == nil {
		t.Errorf("no name: %d revoked, error %v; it must not mean everybody", n, err)
	}
	if n, err := f.RevokeUser(t.Context(), "alice"); n != 3 || err != nil {
		t.Errorf("alice: %d, error %v; want 3", n, err)
	}
	for _, token := range tokens {
		f.refused(t, "revoked with the user's others", token, "there is none with the ID")
	}
	if diff := cmp.Diff([]string{id(other)}, f.ids(t, "")); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestFaultsAreNotTheFaultOfTheToken(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		do    func(*fixture)
		later time.Duration // the use
	}{
		"the directory": {do: func(f *fixture) { f.fault = broken }},
		"reading":       {do: func(f *fixture) { f.store.viewErr = broken }},
		"noting a use":  {do: func(f *fixture) { f.store.updateErr = broken }, later: 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			token := f.issue(t, user("alice"))
			test.do(f)
			f.now = f.now.Add(test.later)
			_, err := f.Redeem(t.Context(), token, service)
			if !errors.Is(err, broken) || errors.Is(err, refresh.ErrInvalid) {
				t.Errorf("error %v; want the fault, and not ErrInvalid", err)
			}
			f.fault, f.store.viewErr, f.store.updateErr = nil, nil, nil
			f.works(t, "after the fault", token)
		})
	}
	f := newFixture(t)
	f.fault = broken
	if _, err := f.Issue(t.Context(), user("alice"), service, ""); !errors.Is(err, broken) {
		t.Errorf("issue without a directory: %v", err)
	}
	f.fault, f.store.updateErr = nil, broken
	if token, err := f.Issue(t.Context(), user("alice"), service, ""); !errors.Is(err, broken) || token != "" {
		t.Errorf("issue without a store: %q, %v", token, err)
	}
	if err := f.Revoke(t.Context(), "abcdefghijklmnop"); !errors.Is(err, broken) || errors.Is(err, refresh.ErrInvalid) {
		t.Errorf("revoke without a store: %v", err)
	}
}

// Who may only read goes on while the disk is full.
func TestFullDiskKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.issue(t, user("alice"))
	f.store.updateErr = meta.ErrNoSpace
	f.now = f.now.Add(2 * time.Hour)
	f.works(t, "on a full disk", token)
	f.now = f.now.Add(ttl - 2*time.Hour)
	f.refused(t, "it lives no longer for that", token, "expired")
	f.now = f.now.Add(-time.Hour)
	f.users["htpasswd/alice"] = "hash 2"
	f.refused(t, "it is not valid though it cannot be removed", token, "another password")
}

func TestClientNamesAreFitToShow(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"docker":                        "docker",
		"":                              "",
		"a\x00b\nc\x1b[31md\u202ee\xff": "abc[31mde",
		strings.Repeat("ü", 1<<20):      strings.Repeat("ü", 64),
		"x" + strings.Repeat("ü", 100):  "x" + strings.Repeat("ü", 63),
	} {
		f := newFixture(t)
		if _, err := f.Issue(t.Context(), user("alice"), service, name); err != nil {
			t.Error(err)
		}
		got, err := f.List(t.Context(), "")
		if err != nil || len(got) != 1 || got[0].Client != want {
			t.Errorf("%.40q is kept as %+v, error %v; want %q", name, got, err, want)
		}
	}
}
