// Package authntest is the contracts of authn.Password, Bearer, Presence and Directory
// as test suites.
package authntest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// Config says how to make what is tested.
type Config struct {
	// New returns a source that knows exactly users: names and passwords.
	New func(t *testing.T, users map[string]string) authn.Password

	// Source is Identity.Source of its users.
	Source string

	// Hashes returns how many password hashes the sources of New have computed
	// so far. It is nil if they compute none themselves.
	Hashes func() uint64
}

// people are the users of all tests.
func people() map[string]string {
	return map[string]string{
		"alice": "correct horse battery staple",
		"bob":   "pass:with:colons and ünïcode ☃",
		"carol": strings.Repeat("c", 72), // as long as bcrypt can take
	}
}

// Run runs the suite. It is for sources to which passwords can be given. Keys and signed
// tokens are passwords too, but of their source's making: the name that comes with them
// proves nothing, and what has not their form is not theirs to refuse. They run
// RunBearer.
func Run(t *testing.T, c Config) {
	t.Helper()
	t.Run("right passwords", c.right)
	t.Run("refused", c.refused)
	t.Run("again after a wrong password", c.again)
	t.Run("errors do not tell the password", c.silent)
	t.Run("many at once", c.atOnce)
	t.Run("a request that is over", c.over)
	t.Run("unknown users cost as much", c.cost)
}

func (c Config) right(t *testing.T) {
	source := c.New(t, people())
	for user, password := range people() {
		// Twice: the second answer may come from a memory.
		for range 2 {
			who, err := source.VerifyPassword(t.Context(), user, password)
			if err != nil {
				t.Fatalf("%s: %v", user, err)
			}
			if who.User != user || who.Source != c.Source {
				t.Errorf("%s is %+v; want source %q", user, who, c.Source)
			}
		}
	}
}

func (c Config) refused(t *testing.T) {
	alice := people()["alice"]
	tests := map[string]struct {
		user, password string
		want           error
	}{
		"wrong password":             {"alice", "wrong", authn.ErrWrongPassword},
		"empty password":             {"alice", "", authn.ErrWrongPassword},
		"password of another":        {"bob", alice, authn.ErrWrongPassword},
		"password cut":               {"alice", alice[:len(alice)-1], authn.ErrWrongPassword},
		"password with more":         {"alice", alice + "x", authn.ErrWrongPassword},
		"password in upper case":     {"alice", strings.ToUpper(alice), authn.ErrWrongPassword},
		"zero byte behind":           {"alice", alice + "\x00", authn.ErrWrongPassword},
		"zero byte and repetition":   {"alice", alice + "\x00" + alice, authn.ErrWrongPassword},
		"more than bcrypt looks at":  {"carol", people()["carol"] + "x", authn.ErrWrongPassword},
		"huge password":              {"alice", strings.Repeat("x", 1<<20), authn.ErrWrongPassword},
		"unknown user":               {"mallory", alice, authn.ErrNoMatch},
		"unknown, empty password":    {"mallory", "", authn.ErrNoMatch},
		"no user":                    {"", alice, authn.ErrNoMatch},
		"user in upper case":         {"ALICE", alice, authn.ErrNoMatch},
		"user with space":            {"alice ", alice, authn.ErrNoMatch},
		"user with a line of a file": {"alice\nmallory", alice, authn.ErrNoMatch},
		"user with a colon":          {"alice:", alice, authn.ErrNoMatch},
		"user with a zero byte":      {"alice\x00", alice, authn.ErrNoMatch},
		"user that is a pattern":     {"*", alice, authn.ErrNoMatch},
		"user that is not UTF-8":     {"alice\xff", alice, authn.ErrNoMatch},
		"huge user":                  {strings.Repeat("a", 1<<20), alice, authn.ErrNoMatch},
	}
	source := c.New(t, people())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			who, err := source.VerifyPassword(t.Context(), tt.user, tt.password)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v; want %v", err, tt.want)
			}
			if diff := cmp.Diff(access.Identity{}, who); diff != "" {
				t.Errorf("an identity was returned with the error: %s", diff)
			}
		})
	}
}

func (c Config) again(t *testing.T) {
	source := c.New(t, people())
	steps := []struct {
		password string
		want     error
	}{
		{"wrong", authn.ErrWrongPassword},
		{"wrong", authn.ErrWrongPassword},
		{people()["alice"], nil},
		{"wrong", authn.ErrWrongPassword},
		{people()["alice"], nil},
	}
	for i, s := range steps {
		if _, err := source.VerifyPassword(t.Context(), "alice", s.password); !errors.Is(err, s.want) {
			t.Errorf("step %d: error %v; want %v", i, err, s.want)
		}
	}
}

func (c Config) silent(t *testing.T) {
	const password = "SECRET-in-the-error"
	source := c.New(t, people())
	for _, user := range []string{"alice", "mallory"} {
		_, err := source.VerifyPassword(t.Context(), user, password)
		if err == nil {
			t.Fatalf("%s: no error", user)
		}
		if strings.Contains(err.Error(), password) {
			t.Errorf("%s: the error tells the password: %v", user, err)
		}
	}
}

func (c Config) atOnce(t *testing.T) {
	source := c.New(t, people())
	ask := func(user, password string, want error) func() {
		return func() {
			if _, err := source.VerifyPassword(t.Context(), user, password); !errors.Is(err, want) {
				t.Errorf("%s: error %v; want %v", user, err, want)
			}
		}
	}
	var all sync.WaitGroup
	for range 4 {
		for _, user := range slices.Sorted(maps.Keys(people())) {
			all.Go(ask(user, people()[user], nil))
			all.Go(ask(user, "wrong", authn.ErrWrongPassword))
			all.Go(ask("not-"+user, people()[user], authn.ErrNoMatch))
		}
	}
	all.Wait()
}

// over checks that a request that is over gets no new answer: its error, or
// one that was true anyway.
func (c Config) over(t *testing.T) {
	source := c.New(t, people())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.VerifyPassword(ctx, "alice", "wrong"); !errors.Is(err, context.Canceled) && !errors.Is(err, authn.ErrWrongPassword) {
		t.Errorf("error %v", err)
	}
	// And it does no harm to the next.
	if _, err := source.VerifyPassword(t.Context(), "alice", people()["alice"]); err != nil {
		t.Errorf("the request after it: %v", err)
	}
}

func (c Config) cost(t *testing.T) {
	if c.Hashes == nil {
		return
	}
	source := c.New(t, people())
	hashes := func(user, password string) uint64 {
		before := c.Hashes()
		_, _ = source.VerifyPassword(t.Context(), user, password)
		return c.Hashes() - before
	}
	known := hashes("alice", "wrong")
	if known == 0 {
		t.Error("a wrong password was refused without computing a hash")
	}
	for _, user := range []string{"mallory", "", "alice ", "\xff"} {
		if unknown := hashes(user, "wrong"); unknown != known {
			t.Errorf("unknown user %q cost %d hashes, a known one %d", user, unknown, known)
		}
	}
}
