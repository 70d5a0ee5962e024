package keys_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/meta"
)

func TestRobotKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, robot("ci-app"))
	if !regexp.MustCompile(`^mgk_[a-z2-7]{63}$`).MatchString(made.Secret) || !strings.HasPrefix(made.Secret, "mgk_"+made.ID) {
		t.Errorf("the key %q of %s", made.Secret, made.ID)
	}
	if withSum(made.Secret[:len(made.Secret)-7]) != made.Secret {
		t.Error("its end is no checksum of the rest")
	}
	who := f.works(t, "a robot", "ci-app", made.Secret)
	if who.User != "ci-app" || who.Source != access.RobotSource || who.Groups != nil || who.Key() != "key:ci-app" ||
		who.With.ID != made.ID || who.With.Name != "ci-app" || !who.With.Robot {
		t.Errorf("it is %+v", who)
	}
	for scope, want := range map[access.Scope]bool{
		{Action: access.Push, Repo: "team/ci-app"}: true,
		{Action: access.Push, Repo: "team/other"}:  false,
	} {
		if d := access.SignedIn().Decide(access.Question{Who: who, Scope: scope}); d.Allowed != want {
			t.Errorf("%+v: %+v", scope, d)
		}
	}
}

func TestPersonalKeyIsItsOwner(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, personal("bob", "laptop"))
	if made.Source != "ldap" || made.User != "bob" || made.Robot {
		t.Errorf("made %+v", made.Entry)
	}
	for _, name := range []string{"bob", "laptop"} {
		who := f.works(t, "as "+name, name, made.Secret)
		if who.User != "bob" || who.Source != "ldap" || who.With.Robot || cmp.Diff([]string{"dev", "ops"}, who.Groups) != "" {
			t.Errorf("as %s it is %+v", name, who)
		}
	}
	f.set("ldap/bob", []string{"dev"})
	if who := f.works(t, "with fewer groups", "bob", made.Secret); cmp.Diff([]string{"dev"}, who.Groups) != "" {
		t.Errorf("the groups are %q, want the present ones", who.Groups)
	}
	f.fault = errors.New("the directory does not answer")
	if _, err := f.VerifyPassword(t.Context(), "bob", made.Secret); err == nil || !errors.Is(err, f.fault) {
		t.Errorf("without the directory: %v, want its fault", err)
	}
	f.fault = nil
	f.set("ldap/bob", nil)
	f.refused(t, "whose owner is gone", "bob", made.Secret, `"bob", the owner of key `+made.ID+`, is gone from ldap`)
}

func TestKeyExpires(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, robot("ci"))
	forever := f.create(t, keys.Request{Name: "old", May: []string{"pull:**"}})
	if !made.Expires.Equal(f.clock().Add(90*day)) || !forever.Expires.IsZero() {
		t.Errorf("they expire at %s and %s", made.Expires, forever.Expires)
	}
	f.advance(90*day - time.Microsecond)
	f.works(t, "at its last moment", "ci", made.Secret)
	f.advance(time.Microsecond)
	f.refused(t, "after its time", "ci", made.Secret, "has expired at 2030-04-01T00:00:00Z: rotate it")
	if e := f.entry(t, made.ID); !e.Expired {
		t.Errorf("it is listed as %+v", e)
	}
	sweep := func() {
		t.Helper()
		if err := f.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	f.entry(t, made.ID)
	f.advance(31 * day)
	sweep()
	list, err := f.List(t.Context(), "")
	if err != nil || len(list) != 1 || list[0].ID != forever.ID {
		t.Errorf("a month later: %+v, %v", list, err)
	}
	f.works(t, "one that never expires", "old", forever.Secret)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.create(t, robot("ci"))
	f.works(t, "the first", "ci", first.Secret) // it is remembered now
	f.advance(30 * day)
	second, err := f.Rotate(t.Context(), keys.Ref{Key: "ci"}, day, nil)
	if err != nil {
		t.Fatal(err)
	}
	if second.ID != first.ID || second.Secret == first.Secret || !second.OldUntil.Equal(f.clock().Add(day)) || !second.Expires.Equal(f.clock().Add(90*day)) {
		t.Errorf("rotated to %+v", second.Entry)
	}
	f.works(t, "the old one in the overlap", "ci", first.Secret)
	f.works(t, "the new one in the overlap", "ci", second.Secret)
	f.advance(day)
	f.refused(t, "the old one", "ci", first.Secret, "its old one ended at 2030-02-01T00:00:00Z")
	f.works(t, "the new one", "ci", second.Secret)
	if e := f.entry(t, first.ID); !e.OldUntil.IsZero() {
		t.Errorf("the old one is listed still: %+v", e)
	}
	third, err := f.Rotate(t.Context(), keys.Ref{Key: first.ID}, 0, new(time.Duration))
	if err != nil {
		t.Fatal(err)
	}
	f.refused(t, "the second, without an overlap", "ci", second.Secret, "its old one ended")
	f.refused(t, "the first", "ci", first.Secret, "has another secret")
	f.works(t, "the third", "ci", third.Secret)
	if !third.Expires.IsZero() {
		t.Errorf("it never expires at %s", third.Expires)
	}
	f.reopen(t)
	f.works(t, "the third after a restart", "ci", third.Secret)
	f.refused(t, "the second after a restart", "ci", second.Secret, "its old one ended")
}

// TestOldSecretDoesNotOutliveItsKey: an overlap is no way to make a key live longer.
func TestOldSecretDoesNotOutliveItsKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.create(t, keys.Request{Name: "ci", May: []string{"pull:**"}, Life: day})
	f.advance(2 * day)
	second, err := f.Rotate(t.Context(), keys.Ref{Key: "ci"}, 7*day, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.refused(t, "one that had expired", "ci", first.Secret, "ended at 2030-01-02")
	f.works(t, "its successor", "ci", second.Secret)
	if !second.Expires.Equal(f.clock().Add(day)) {
		t.Errorf("the successor expires at %s, want a day from now", second.Expires)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made, other := f.create(t, robot("ci")), f.create(t, robot("other"))
	f.works(t, "before", "ci", made.Secret)
	done, err := f.Revoke(t.Context(), keys.Ref{Key: "ci"})
	if err != nil || done.ID != made.ID {
		t.Fatalf("%+v, %v", done, err)
	}
	f.refused(t, "revoked", "ci", made.Secret, "there is no key "+made.ID)
	f.works(t, "the other", "other", other.Secret)
	if _, err := f.Revoke(t.Context(), keys.Ref{Key: "ci"}); !errors.Is(err, keys.ErrUnknown) {
		t.Errorf("again: %v", err)
	}
	again := f.create(t, robot("ci"))
	f.works(t, "another of the name", "ci", again.Secret)
	f.refused(t, "the one before", "ci", made.Secret, "there is no key")
}

// TestWhichKeyIsMeant: nobody ends the key of somebody else by mistake.
func TestWhichKeyIsMeant(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := map[string]string{}
	for what, r := range map[string]keys.Request{
		"robot": robot("ci"), "alice": personal("alice", "ci"), "bob": personal("bob", "laptop"),
		"twin of ldap": {Name: "pad", User: "twin", Source: "ldap"}, "twin of htpasswd": {Name: "pad", User: "twin", Source: "htpasswd"},
	} {
		ids[what] = f.create(t, r).ID
	}
	for name, tt := range map[string]struct {
		ref  keys.Ref
		want string // which; "": an error
		says string
	}{
		"a robot by its name":         {keys.Ref{Key: "ci"}, "robot", ""},
		"by its ID":                   {keys.Ref{Key: ids["robot"]}, "robot", ""},
		"of a user":                   {keys.Ref{Key: "ci", User: "alice"}, "alice", ""},
		"of a user and a source":      {keys.Ref{Key: "ci", User: "alice", Source: "htpasswd"}, "alice", ""},
		"of a user by the ID":         {keys.Ref{Key: ids["bob"]}, "bob", ""},
		"of two sources, one said":    {keys.Ref{Key: "pad", User: "twin", Source: "ldap"}, "twin of ldap", ""},
		"of two sources":              {keys.Ref{Key: "pad", User: "twin"}, "", "several keys"},
		"no robot, but of a user":     {keys.Ref{Key: "laptop"}, "", "--user, or by its ID: " + ids["bob"] + " (bob)"},
		"of another user":             {keys.Ref{Key: "laptop", User: "alice"}, "", "no key \"laptop\" of alice"},
		"of another source":           {keys.Ref{Key: "ci", User: "alice", Source: "ldap"}, "", "no key"},
		"an ID of another user":       {keys.Ref{Key: ids["bob"], User: "alice"}, "", "no key of alice"},
		"nothing":                     {keys.Ref{}, "", "no key of robots"},
		"a pattern":                   {keys.Ref{Key: "%"}, "", "no key of robots"},
		"a key itself, by its prefix": {keys.Ref{Key: "mgk_" + ids["bob"]}, "", "no key of robots"},
	} {
		made, err := f.Rotate(t.Context(), tt.ref, 0, nil)
		switch {
		case tt.want != "" && (err != nil || made.ID != ids[tt.want]):
			t.Errorf("%s: %+v, %v; want %s", name, made.Entry, err, ids[tt.want])
		case tt.want == "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

func TestKeysThatCannotBeMade(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, robot("ci"))
	f.create(t, personal("alice", "laptop"))
	with := func(r keys.Request, change func(*keys.Request)) keys.Request {
		change(&r)
		return r
	}
	for name, tt := range map[string]struct {
		r    keys.Request
		says string
	}{
		"no name":             {robot(""), `"" cannot be the name`},
		"a space":             {robot("a b"), "cannot be the name"},
		"a colon":             {robot("a:b"), "cannot be the name"},
		"quotes of SQL":       {robot("a'; DROP TABLE access_keys; --"), "cannot be the name"},
		"a glob":              {robot("*"), "cannot be the name"},
		"a line of a log":     {robot("a\nb"), "cannot be the name"},
		"a huge name":         {robot(strings.Repeat("a", 1<<20)), "cannot be the name"},
		"an ID":               {robot(made.ID), "looks like the ID"},
		"a name that is used": {robot("ci"), `there is a key "ci" of robots already`},
		"a name of a person":  {personal("alice", "laptop"), `there is a key "laptop" of alice already`},
		"no rights":           {keys.Request{Name: "x"}, "say what the key may"},
		"wrong rights":        {keys.Request{Name: "x", May: []string{"write:team/app"}}, `there is no action "write"`},
		"an unknown user":     {personal("nobody", "x"), `no user "nobody" is known to htpasswd, ldap`},
		"no such source":      {keys.Request{Name: "x", User: "alice", Source: "oidc"}, `no user "alice" is known to oidc: only users who can be looked up later can have keys, those of htpasswd, ldap`},
		"another source":      {keys.Request{Name: "x", User: "alice", Source: "ldap"}, "no user"},
		"a source alone":      {with(robot("x"), func(r *keys.Request) { r.Source = "ldap" }), "a source without a user"},
		"a user of two":       {personal("twin", "x"), "htpasswd and ldap know \"twin\": say which"},
		"a robot like a user": {robot("bob"), `ldap has a user "bob", so no key of others can be called that`},
		"a key like another":  {personal("mallory", "alice"), `htpasswd has a user "alice", so no key of others can be called that`},
		"a life backwards":    {with(robot("x"), func(r *keys.Request) { r.Life = -1 }), "at most 3650 days, or never"},
		"a life too long":     {with(robot("x"), func(r *keys.Request) { r.Life = 3651 * day }), "at most 3650 days, or never"},
	} {
		if made, err := f.Create(t.Context(), tt.r); !errors.Is(err, keys.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || made.Secret != "" || len(err.Error()) > 500 {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
	f.works(t, "after all that", "ci", made.Secret)
}

func TestTooManyKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.MaxPerOwner, f.MaxRobots = 2, 2
	for _, r := range []keys.Request{robot("first"), personal("alice", "first")} {
		f.create(t, r)
	}
	f.create(t, robot("second"))
	f.create(t, personal("alice", "second"))
	for _, r := range []keys.Request{robot("third"), personal("alice", "third")} {
		if _, err := f.Create(t.Context(), r); !errors.Is(err, keys.ErrInvalid) || !strings.Contains(err.Error(), "there are 2 keys of ") {
			t.Errorf("one too many: %v", err)
		}
	}
	f.create(t, personal("bob", "third"))
	if _, err := f.Revoke(t.Context(), keys.Ref{Key: "first"}); err != nil {
		t.Fatal(err)
	}
	f.create(t, robot("third"))
}

func TestRotationsThatCannotBe(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, robot("ci"))
	for _, overlap := range []time.Duration{-1, 3651 * day} {
		if _, err := f.Rotate(t.Context(), keys.Ref{Key: "ci"}, overlap, nil); !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("an overlap of %s: %v", overlap, err)
		}
	}
	long := 3651 * day
	if _, err := f.Rotate(t.Context(), keys.Ref{Key: "ci"}, 0, &long); !errors.Is(err, keys.ErrInvalid) {
		t.Errorf("a life too long: %v", err)
	}
	f.works(t, "after all that", "ci", made.Secret)
}

func TestOwnersThatCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fault = errors.New("the directory does not answer")
	if _, err := f.Create(t.Context(), personal("alice", "x")); !errors.Is(err, f.fault) || errors.Is(err, keys.ErrInvalid) {
		t.Errorf("without the directory: %v", err)
	}
	f.create(t, robot("while-away"))
	f.Sources = nil
	f.fault = nil
	if _, err := f.Create(t.Context(), personal("nobody", "x")); !errors.Is(err, keys.ErrInvalid) || !strings.Contains(err.Error(), "no source here can tell") {
		t.Errorf("without sources: %v", err)
	}
}

// A source that never tells is not one that has lost its users.
func TestOwnersOfWhomNobodyCanTell(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, personal("alice", "x"))
	f.fault = authn.ErrCannotTell
	if _, err := f.Create(t.Context(), personal("alice", "y")); !errors.Is(err, keys.ErrInvalid) || !strings.Contains(err.Error(), "no source here can tell later") {
		t.Errorf("a new one: %v", err)
	}
	f.refused(t, "one from before", "alice", made.Secret, "no source here that can be asked")
}

func TestListIsInOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, r := range []keys.Request{
		personal("bob", "b"), robot("z"), personal("alice", "z"), robot("a"), personal("alice", "a"),
		{Name: "pad", User: "twin", Source: "ldap", May: []string{"pull:**", "push:a"}},
		{Name: "pad", User: "twin", Source: "htpasswd"},
	} {
		f.create(t, r)
	}
	names := func(user string) string {
		t.Helper()
		list, err := f.List(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range list {
			names = append(names, e.User+"/"+e.Name+"@"+e.Source)
		}
		return strings.Join(names, " ")
	}
	if got, want := names(""), "/a@ /z@ alice/a@htpasswd alice/z@htpasswd bob/b@ldap twin/pad@htpasswd twin/pad@ldap"; got != want {
		t.Errorf("all: %s\nwant %s", got, want)
	}
	if got, want := names("alice"), "alice/a@htpasswd alice/z@htpasswd"; got != want {
		t.Errorf("of alice: %s\nwant %s", got, want)
	}
	if got := names("nobody"); got != "" {
		t.Errorf("of nobody: %s", got)
	}
}

func TestFaultsOfTheStore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made, unused := f.create(t, robot("ci")), f.create(t, robot("unused"))
	f.works(t, "before", "ci", made.Secret)
	broken := errors.New("the disk is broken")
	f.store.viewErr, f.store.updateErr = broken, meta.ErrNoSpace
	f.works(t, "one that is remembered", "ci", made.Secret)
	if _, err := f.VerifyPassword(t.Context(), "unused", unused.Secret); !errors.Is(err, broken) {
		t.Errorf("verify: %v", err)
	}
	if _, err := f.List(t.Context(), ""); !errors.Is(err, broken) {
		t.Errorf("list: %v", err)
	}
	if _, err := f.Create(t.Context(), robot("x")); !errors.Is(err, meta.ErrNoSpace) {
		t.Errorf("create: %v", err)
	}
	if _, err := f.Revoke(t.Context(), keys.Ref{Key: "ci"}); !errors.Is(err, meta.ErrNoSpace) {
		t.Errorf("revoke: %v", err)
	}
	if err := f.Flush(t.Context()); !errors.Is(err, meta.ErrNoSpace) {
		t.Errorf("flush: %v", err)
	}
	f.store.viewErr, f.store.updateErr = nil, nil
	used := f.entry(t, made.ID).Used
	if err := f.Flush(t.Context()); err != nil || used.IsZero() {
		t.Errorf("flush: %v, used %s", err, used)
	}
	f.reopen(t)
	if e := f.entry(t, made.ID); !e.Used.Equal(used) {
		t.Errorf("it was used at %s, want %s: what could not be written is written later", e.Used, used)
	}
}
