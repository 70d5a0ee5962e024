package authntest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// DirectoryConfig says how to make a directory that is tested.
type DirectoryConfig struct {
	// New returns a directory that knows exactly users: names and passwords. set
	// replaces them all.
	New func(t *testing.T, users map[string]string) (d authn.Directory, set func(users map[string]string))

	// Source is the name of its source.
	Source string
}

// RunDirectory runs the suite of authn.Directory.
func RunDirectory(t *testing.T, c DirectoryConfig) {
	t.Helper()
	t.Run("known users", c.known)
	t.Run("unknown users and sources", c.unknown)
	t.Run("stamp changes with the password", c.stamps)
	t.Run("user who goes and comes again", c.goes)
	t.Run("a request that is over does no harm", c.over)
}

// lookup returns the stamp of a user, who must be known.
func (c DirectoryConfig) lookup(t *testing.T, d authn.Directory, user string) string {
	t.Helper()
	who, stamp, err := d.Lookup(t.Context(), c.Source, user)
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	if who.User != user || who.Source != c.Source || stamp == "" {
		t.Errorf("%s is %+v with stamp %q; want source %q and a stamp", user, who, stamp, c.Source)
	}
	return stamp
}

// wantNone checks that there is no user, for the reason given.
func wantNone(t *testing.T, d authn.Directory, source, user string, want error) {
	t.Helper()
	who, stamp, err := d.Lookup(t.Context(), source, user)
	if !errors.Is(err, want) {
		t.Errorf("%.40q of %q: error %v; want %v", user, source, err, want)
	}
	if diff := cmp.Diff(access.Identity{}, who); diff != "" || stamp != "" {
		t.Errorf("%.40q of %q: with the error came stamp %q and an identity: %s", user, source, stamp, diff)
	}
}

func (c DirectoryConfig) known(t *testing.T) {
	d, _ := c.New(t, people())
	for user, password := range people() {
		stamp := c.lookup(t, d, user)
		if again := c.lookup(t, d, user); again != stamp {
			t.Errorf("%s: the stamp changes by itself: %q, %q", user, stamp, again)
		}
		if strings.Contains(stamp, password) {
			t.Errorf("%s: the stamp tells the password", user)
		}
	}
}

func (c DirectoryConfig) unknown(t *testing.T) {
	d, _ := c.New(t, people())
	for _, user := range []string{"mallory", "", "ALICE", "alice ", "alice\n", "alice:", "*", "alice\x00", "alice\xff", strings.Repeat("a", 1<<20)} {
		wantNone(t, d, c.Source, user, authn.ErrNoMatch)
	}
	for _, source := range []string{"", strings.ToUpper(c.Source) + "X", c.Source + " ", "*"} {
		wantNone(t, d, source, "alice", authn.ErrCannotTell)
	}
}

func (c DirectoryConfig) stamps(t *testing.T) {
	d, set := c.New(t, people())
	alice := c.lookup(t, d, "alice")
	users := people()
	users["alice"] = "another password"
	set(users)
	if c.lookup(t, d, "alice") == alice {
		t.Error("the password has changed and the stamp has not")
	}
}

func (c DirectoryConfig) goes(t *testing.T) {
	d, set := c.New(t, people())
	before := c.lookup(t, d, "alice")
	without := people()
	delete(without, "alice")
	set(without)
	wantNone(t, d, c.Source, "alice", authn.ErrNoMatch)
	c.lookup(t, d, "bob")
	users := people()
	users["alice"] = "the password of another alice"
	set(users)
	if c.lookup(t, d, "alice") == before {
		t.Error("another person of the same name has the same stamp")
	}
}

func (c DirectoryConfig) over(t *testing.T) {
	d, _ := c.New(t, people())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := d.Lookup(ctx, c.Source, "alice"); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, _, err := d.Lookup(ctx, c.Source, "mallory"); !errors.Is(err, context.Canceled) && !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("unknown user: error %v", err)
	}
	c.lookup(t, d, "alice")
}
