package keys_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/authn/keys"
)

// nobody takes no tokens, and must not see keys.
type nobody struct{ t *testing.T }

func (n nobody) VerifyToken(context.Context, string) (authn.Token, error) {
	if n.t != nil {
		n.t.Error("a key was shown to a source of tokens")
	}
	return authn.Token{}, authn.ErrNoMatch
}

// passwordFunc is a source that knows nobody and calls a function.
type passwordFunc func()

func (f passwordFunc) VerifyPassword(context.Context, string, string) (access.Identity, error) {
	f()
	return access.Identity{}, authn.ErrNoMatch
}

// issued are tokens by their text, and the error that comes with them.
type issued map[string]struct {
	token authn.Token
	err   error
}

func (i issued) VerifyToken(_ context.Context, text string) (authn.Token, error) {
	t, ok := i[text]
	if !ok {
		return authn.Token{}, authn.ErrNoMatch
	}
	return t.token, t.err
}

func TestContract(t *testing.T) {
	t.Parallel()
	authntest.RunBearer(t, authntest.BearerConfig{Source: "htpasswd", Final: true, New: func(t *testing.T) (authn.Bearer, func(string, time.Time) string) {
		f := newFixture(t)
		f.set("htpasswd/bob", []string{})
		now := time.Now()
		f.advance(now.Sub(f.clock()))
		made := 0
		return f.Bearer(nobody{}), func(user string, expires time.Time) string {
			const life = time.Hour
			made++
			f.advance(expires.Add(-life).Sub(f.clock()))
			defer func() { f.advance(now.Sub(f.clock())) }()
			return f.create(t, keys.Request{Name: fmt.Sprint("laptop", made), User: user, Source: "htpasswd", Life: life}).Secret
		}
	}})
}

func TestKeyAsToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.create(t, personal("alice", "laptop"))
	got, err := f.Bearer(nobody{t}).VerifyToken(t.Context(), made.Secret)
	if err != nil || got.Ceiling != nil || !got.Expires.Equal(made.Expires) || got.Who.Key() != "htpasswd:alice" || got.Who.With == nil {
		t.Errorf("%+v, %v", got, err)
	}
	f.advance(90 * day)
	got, err = f.Bearer(nobody{t}).VerifyToken(t.Context(), made.Secret)
	f.isRefused(t, "after its time", made.Secret, "has expired", got.Who, err, authn.ErrNoMatch)
}

// TestTokensOfAKeyEndWithIt: what was made from a key may what the key may now.
func TestTokensOfAKeyEndWithIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	laptop, ci := f.create(t, personal("bob", "laptop")), f.create(t, robot("ci"))
	from := func(user, source string, made keys.Made) authn.Token {
		return authn.Token{
			Who:     access.Identity{User: user, Source: source, Groups: []string{"of then"}, Claims: map[string]any{"jti": "x"}, With: &access.Key{ID: made.ID}},
			Ceiling: access.NoRights(), Expires: f.clock().Add(time.Minute),
		}
	}
	stolen := from("bob", "ldap", laptop)
	stolen.Who.With = &access.Key{ID: "nosuch"}
	b := f.Bearer(issued{
		"bob":          {from("bob", "ldap", laptop), nil},
		"bob, expired": {from("bob", "ldap", laptop), authn.ErrExpired},
		"ci":           {from("ci", access.RobotSource, ci), nil},
		"no key":       {authn.Token{Who: access.Identity{User: "bob", Source: "ldap"}}, nil},
		"broken":       {authn.Token{}, errors.New("no keys")},
		"alice":        {from("alice", "htpasswd", laptop), nil},
		"robot":        {from("bob", access.RobotSource, laptop), nil},
		"bob of ci":    {from("bob", "ldap", ci), nil},
		"unknown":      {stolen, nil},
	})
	good := func(text string, want error) access.Identity {
		t.Helper()
		got, err := b.VerifyToken(t.Context(), text)
		if !errors.Is(err, want) || got.Ceiling == nil || got.Who.Claims != nil {
			t.Fatalf("%s: %+v, %v", text, got, err)
		}
		return got.Who
	}
	bad := func(text, why string) {
		t.Helper()
		got, err := b.VerifyToken(t.Context(), text)
		f.isRefused(t, text, "", why, got.Who, err, authn.ErrNoMatch)
	}
	who := good("bob", nil)
	if cmp.Diff([]string{"dev", "ops"}, who.Groups) != "" || who.With.Name != "laptop" || who.User != "bob" {
		t.Errorf("bob is %+v, want the present groups, no claims of then, and the limits of the key", who)
	}
	if d := access.SignedIn().Decide(access.Question{Who: good("ci", nil), Scope: access.Scope{Action: access.Pull, Repo: "other"}}); d.Allowed {
		t.Errorf("a token of a robot may more than its key: %+v", d)
	}
	good("bob, expired", authn.ErrExpired)
	if got, err := b.VerifyToken(t.Context(), "no key"); err != nil || got.Who.With != nil {
		t.Errorf("without a key: %+v, %v", got, err)
	}
	if _, err := b.VerifyToken(t.Context(), "broken"); err == nil || errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("a fault: %v", err)
	}
	bad("alice", "of somebody else")
	bad("robot", "of somebody else")
	bad("bob of ci", "of somebody else")
	bad("unknown", "is gone")

	if _, err := f.Rotate(t.Context(), keys.Ref{Key: laptop.ID}, 0, nil); err != nil {
		t.Fatal(err)
	}
	good("bob", nil) // a token lives for minutes; who has to end it revokes the key
	f.set("ldap/bob", nil)
	bad("bob", "is gone from ldap")
	bad("bob, expired", "is gone from ldap")
	f.set("ldap/bob", []string{})
	good("bob", nil)
	for _, id := range []string{laptop.ID, ci.ID} {
		if _, err := f.Revoke(t.Context(), keys.Ref{Key: id}); err != nil {
			t.Fatal(err)
		}
	}
	bad("bob", "is gone")
	bad("bob, expired", "is gone")
	bad("ci", "is gone")
}
