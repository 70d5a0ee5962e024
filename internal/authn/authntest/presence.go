package authntest

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// PresenceConfig says how to make a presence that is tested, and who may come.
type PresenceConfig struct {
	// New returns the source.
	New func(t *testing.T) authn.Presence

	// Source is Identity.Source of its users.
	Source string

	// Known are arrivals of users, by their name; at least two.
	Known map[string]authn.Arrival

	// Nothing are arrivals that show nothing which the source is about, by what
	// they are.
	Nothing map[string]authn.Arrival

	// Strangers are arrivals that show something which is not to be believed, by
	// what they are.
	Strangers map[string]authn.Arrival

	// Secret is something in the arrivals that no error may tell; "" if there is
	// nothing.
	Secret string
}

// RunPresence runs the suite of authn.Presence.
func RunPresence(t *testing.T, c PresenceConfig) {
	t.Helper()
	t.Run("known", c.known)
	t.Run("nothing shown", c.nothing)
	t.Run("strangers", c.strangers)
	t.Run("one after the other", c.turns)
	t.Run("many at once", c.atOnce)
	t.Run("a request that is over does no harm", c.over)
}

// wantUser checks that somebody is who they are.
func (c PresenceConfig) wantUser(ctx context.Context, t *testing.T, p authn.Presence, user string) {
	t.Helper()
	before := copyOf(c.Known[user].Header)
	who, err := p.VerifyArrival(ctx, c.Known[user])
	if err != nil || who.User != user || who.Source != c.Source {
		t.Errorf("%s is %+v, %v; want source %q", user, who, err, c.Source)
	}
	if diff := cmp.Diff(before, copyOf(c.Known[user].Header)); diff != "" {
		t.Errorf("%s: the headers were changed (-before +after):\n%s", user, diff)
	}
}

func copyOf(header map[string][]string) map[string][]string {
	all := map[string][]string{}
	for name, values := range header {
		all[name] = slices.Clone(values)
	}
	return all
}

// wantNobody checks that somebody is not known; and that for a reason, or the bare
// ErrNoMatch.
func (c PresenceConfig) wantNobody(t *testing.T, p authn.Presence, what string, a authn.Arrival, bare bool) {
	t.Helper()
	who, err := p.VerifyArrival(t.Context(), a)
	isBare := err == authn.ErrNoMatch //nolint:errorlint // it says that nothing was shown
	if !errors.Is(err, authn.ErrNoMatch) || isBare != bare {
		t.Errorf("%s: error %v; want ErrNoMatch, the bare one: %v", what, err, bare)
	}
	if diff := cmp.Diff(access.Identity{}, who); diff != "" {
		t.Errorf("%s: an identity was returned with the error: %s", what, diff)
	}
	if err != nil && c.Secret != "" && strings.Contains(err.Error(), c.Secret) {
		t.Errorf("%s: the error tells a secret: %v", what, err)
	}
}

func (c PresenceConfig) known(t *testing.T) {
	p := c.New(t)
	if len(c.Known) < 2 {
		t.Fatal("two users are needed")
	}
	for user := range c.Known {
		// Twice: the second answer may come from a memory.
		for range 2 {
			c.wantUser(t.Context(), t, p, user)
		}
	}
}

func (c PresenceConfig) nothing(t *testing.T) {
	p := c.New(t)
	c.wantNobody(t, p, "from nowhere", authn.Arrival{}, true)
	c.wantNobody(t, p, "a plain request", authn.Arrival{Peer: netip.MustParseAddr("203.0.113.9"), Header: map[string][]string{"Accept": {"*/*"}}}, true)
	for what, a := range c.Nothing {
		c.wantNobody(t, p, what, a, true)
	}
}

func (c PresenceConfig) strangers(t *testing.T) {
	p := c.New(t)
	for what, a := range c.Strangers {
		for range 2 {
			c.wantNobody(t, p, what, a, false)
		}
	}
}

// turns checks that nobody gets what was remembered of another.
func (c PresenceConfig) turns(t *testing.T) {
	p := c.New(t)
	for range 2 {
		for user := range c.Known {
			c.wantUser(t.Context(), t, p, user)
			c.wantNobody(t, p, "nobody after "+user, authn.Arrival{}, true)
			for what, a := range c.Strangers {
				c.wantNobody(t, p, what+" after "+user, a, false)
			}
		}
	}
}

func (c PresenceConfig) atOnce(t *testing.T) {
	p := c.New(t)
	var all sync.WaitGroup
	for range 4 {
		for _, user := range slices.Sorted(maps.Keys(c.Known)) {
			all.Go(func() { c.wantUser(t.Context(), t, p, user) })
		}
		for what, a := range c.Strangers {
			all.Go(func() { c.wantNobody(t, p, what, a, false) })
		}
		all.Go(func() { c.wantNobody(t, p, "nobody", authn.Arrival{}, true) })
	}
	all.Wait()
}

// over checks that a request that is over gets its error, or an answer that is true
// anyway.
func (c PresenceConfig) over(t *testing.T) {
	p := c.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for user, a := range c.Known {
		if who, err := p.VerifyArrival(ctx, a); err == nil && who.User != user || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s is %+v, %v", user, who, err)
		}
		c.wantUser(t.Context(), t, p, user)
	}
}
