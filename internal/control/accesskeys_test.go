package control_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/control"
)

// asked are keys that tell what they were asked.
type asked struct {
	what *[]string
	err  error
}

func (a asked) note(format string, args ...any) {
	*a.what = append(*a.what, fmt.Sprintf(format, args...))
}

func (a asked) List(_ context.Context, user string) ([]keys.Entry, error) {
	a.note("list %q", user)
	return []keys.Entry{{ID: "one", Name: "ci", Robot: true, May: []string{"pull:**"}, Created: time.Unix(1000, 0).UTC()}}, a.err
}

func (a asked) Create(_ context.Context, r keys.Request) (keys.Made, error) {
	a.note("create %+v", r)
	return keys.Made{Entry: keys.Entry{ID: "one", Name: r.Name, Robot: r.User == "", User: r.User, Source: r.Source, May: r.May, Expires: after(r.Life)}, Secret: "mgk_secret"}, a.err
}

func (a asked) Rotate(_ context.Context, ref keys.Ref, overlap time.Duration, life *time.Duration) (keys.Made, error) {
	text := "as before"
	if life != nil {
		text = life.String()
	}
	a.note("rotate %+v %s %s", ref, overlap, text)
	e := keys.Entry{ID: "one", Name: ref.Key, Robot: true, May: []string{"pull:**"}}
	if life == nil { // and else the old secret has ended
		e.OldUntil = after(overlap)
	}
	return keys.Made{Entry: e, Secret: "mgk_other"}, a.err
}

// after is a time after the beginning; none for 0.
func after(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Unix(0, 0).Add(d)
}

func (a asked) Revoke(_ context.Context, ref keys.Ref) (keys.Entry, error) {
	a.note("revoke %+v", ref)
	return keys.Entry{ID: "one", Name: "x", User: "alice", Source: "ldap"}, a.err
}

func TestAccessKeys(t *testing.T) {
	t.Parallel()
	var what []string
	client, seen := serve(t, &control.Handler{AccessKeys: asked{what: &what}})
	askAll(t, client)
	if diff := cmp.Diff([]string{
		`list "al ice&user=bob"`,
		`create {Name:ci User: Source: May:[pull,push:team/** admin] Life:36h0m0s}`,
		`create {Name:x&may=admin User:alice Source:ldap May:[] Life:0s}`,
		`rotate {Key:../a/b User:alice Source:} 1h0m0s as before`,
		`rotate {Key:../a/b User:alice Source:} 1h0m0s 0s`,
		`revoke {Key: User: Source:ldap}`,
	}, what); diff != "" {
		t.Error(diff)
	}
	var told []string
	for _, r := range seen.list() {
		told = append(told, r.Operation+": "+r.Detail)
	}
	if diff := cmp.Diff([]string{
		"access-key-create: made key one, robot ci, expires 1970-01-02T12:00:00Z, may pull,push:team/** admin",
		"access-key-create: made key one, x&may=admin of ldap:alice, never expires, may all that its owner may, but admin",
		"access-key-rotate: made another secret (the old one is good until 1970-01-01T01:00:00Z) for key one, robot ../a/b, never expires, may pull:**",
		"access-key-rotate: made another secret (the old one is good no more) for key one, robot ../a/b, never expires, may pull:**",
		"access-key-revoke: revoked key one, x of ldap:alice, never expires, may all that its owner may, but admin",
	}, told); diff != "" {
		t.Error(diff)
	}
}

func TestAccessKeysThatFail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		h    control.Handler
		want string
	}{
		"not there":  {control.Handler{}, "not on this server: nobody signs in here"},
		"wrong":      {control.Handler{AccessKeys: asked{&[]string{}, fmt.Errorf("%w: no rights", keys.ErrInvalid)}}, "this cannot be done: no rights"},
		"unknown":    {control.Handler{AccessKeys: asked{&[]string{}, keys.ErrUnknown}}, "there is no such key"},
		"disk fault": {control.Handler{AccessKeys: asked{&[]string{}, errors.New("the disk is full")}}, "the disk is full"},
	} {
		client, seen := serve(t, &tt.h)
		_, list := client.AccessKeys(t.Context(), "")
		_, create := client.CreateAccessKey(t.Context(), keys.Request{Name: "ci"})
		_, rotate := client.RotateAccessKey(t.Context(), keys.Ref{Key: "ci"}, 0, nil)
		_, revoke := client.RevokeAccessKey(t.Context(), keys.Ref{Key: "ci"})
		for _, err := range []error{list, create, rotate, revoke} {
			if err == nil || err.Error() != tt.want {
				t.Errorf("%s: %v, want %s", name, err, tt.want)
			}
		}
		if recorded := seen.list(); len(recorded) > 0 {
			t.Errorf("%s: recorded %+v", name, recorded)
		}
	}
}

// askAll asks everything that there is to ask.
func askAll(t *testing.T, client *control.Client) {
	t.Helper()
	ctx := t.Context()
	list, err := client.AccessKeys(ctx, "al ice&user=bob")
	if err != nil || len(list) != 1 || list[0].May[0] != "pull:**" || !list[0].Expires.IsZero() {
		t.Errorf("list: %+v, %v", list, err)
	}
	for _, r := range []keys.Request{
		{Name: "ci", May: []string{"pull,push:team/**", "admin"}, Life: 36 * time.Hour},
		{Name: "x&may=admin", User: "alice", Source: "ldap"},
	} {
		if made, err := client.CreateAccessKey(ctx, r); err != nil || made.Secret != "mgk_secret" || made.Name != r.Name || made.ID != "one" {
			t.Errorf("create: %+v, %v", made, err)
		}
	}
	never := time.Duration(0)
	for _, life := range []*time.Duration{nil, &never} {
		if made, err := client.RotateAccessKey(ctx, keys.Ref{Key: "../a/b", User: "alice"}, time.Hour, life); err != nil || made.Secret != "mgk_other" {
			t.Errorf("rotate: %+v, %v", made, err)
		}
	}
	if e, err := client.RevokeAccessKey(ctx, keys.Ref{Key: "", Source: "ldap"}); err != nil || e.ID != "one" {
		t.Errorf("revoke: %+v, %v", e, err)
	}
}
