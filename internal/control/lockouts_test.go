package control_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/lockout"
)

// at is when everything happens.
var at = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

var home, far = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::7")

// guarded returns a guard that has seen wrong passwords of three.
func guarded() *lockout.Guard {
	g := lockout.New(lockout.Options{Failures: 1, First: time.Second, Longest: time.Minute, Forget: time.Hour, Now: func() time.Time { return at }})
	for user, from := range map[string]netip.Addr{"alice & bob?": home, "carol": far, "dave": home} {
		a, _ := g.Begin(user, from, "x")
		_ = a.Wrong()
	}
	return g
}

func TestLockoutsAreListed(t *testing.T) {
	t.Parallel()
	g := guarded()
	client, _ := serve(t, &control.Handler{Lockouts: g})
	list, err := client.Lockouts(t.Context())
	if diff := cmp.Diff(g.List(), list); diff != "" || err != nil || len(list) != 3 || !list[0].Locked(at) {
		t.Errorf("%v, %+v\n%s", err, list, diff)
	}
	g.ClearAll()
	if list, err := client.Lockouts(t.Context()); err != nil || list == nil || len(list) != 0 {
		t.Errorf("left: %+v, %v", list, err)
	}
}

func TestLockoutsAreCleared(t *testing.T) {
	t.Parallel()
	client, seen := serve(t, &control.Handler{Lockouts: guarded()})
	for what, c := range map[string]struct {
		clear func() (int, error)
		want  int
	}{
		"a user":      {func() (int, error) { return client.ClearUser(t.Context(), "Alice & Bob?") }, 2},
		"an address":  {func() (int, error) { return client.ClearAddress(t.Context(), far) }, 2},
		"nobody":      {func() (int, error) { return client.ClearUser(t.Context(), "mallory") }, 0},
		"no name":     {func() (int, error) { return client.ClearUser(t.Context(), "") }, -1},
		"no address":  {func() (int, error) { return client.ClearAddress(t.Context(), netip.Addr{}) }, -1},
		"another one": {func() (int, error) { return client.ClearAddress(t.Context(), netip.MustParseAddr("192.0.2.2")) }, 0},
	} {
		if n, err := c.clear(); (err != nil) != (c.want < 0) || err == nil && n != c.want {
			t.Errorf("%s: cleared %d, %v, want %d", what, n, err, c.want)
		}
	}
	if n, err := client.ClearAll(t.Context()); err != nil || n != 4 { // carol elsewhere, dave here and elsewhere, and the address
		t.Errorf("all: cleared %d, %v", n, err)
	}
	var last string
	for _, r := range seen.list() {
		if r.Operation != "lockout-clear" || r.Who.User != "operator" {
			t.Errorf("recorded: %+v", r)
		}
		last = r.Detail
	}
	if n := len(seen.list()); n != 5 || last != "wrong passwords of everybody forgotten: 4 counts" {
		t.Errorf("%d records, the last %q", n, last)
	}
}

func TestWithoutLockouts(t *testing.T) {
	t.Parallel()
	without, _ := serve(t, &control.Handler{})
	if _, err := without.Lockouts(t.Context()); err == nil || err.Error() != "not on this server: it locks nobody out" {
		t.Errorf("without lockout: %v", err)
	}
	if _, err := without.ClearAll(t.Context()); err == nil || err.Error() != "not on this server: it locks nobody out" {
		t.Errorf("without lockout: %v", err)
	}
}
