package authntest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// BearerConfig says how to make a verifier of tokens that is tested.
type BearerConfig struct {
	// New returns a verifier, and what makes a token for a user that was issued a
	// while before it expires.
	New func(t *testing.T) (b authn.Bearer, issue func(user string, expires time.Time) string)

	Source string // Identity.Source of its users
	Limits bool   // its tokens have a ceiling
	Final  bool   // a token that has expired is as good as none, also for what it began
}

// RunBearer runs the suite of authn.Bearer.
func RunBearer(t *testing.T, c BearerConfig) {
	t.Helper()
	t.Run("good tokens", c.good)
	t.Run("refused", c.refused)
	t.Run("expired", c.expired)
	t.Run("errors do not tell the token", c.silent)
	t.Run("many at once", c.atOnce)
	t.Run("a request that is over", c.over)
}

// soon is an end that no test lives to see.
func soon() time.Time { return time.Now().Add(5 * time.Minute).Truncate(time.Second) }

func (c BearerConfig) good(t *testing.T) {
	b, issue := c.New(t)
	end := soon()
	for _, user := range []string{"alice", "bob"} {
		text := issue(user, end)
		// Twice: the second answer may come from a memory.
		for range 2 {
			got, err := b.VerifyToken(t.Context(), text)
			if err != nil {
				t.Fatalf("%s: %v", user, err)
			}
			if got.Who.User != user || got.Who.Source != c.Source || !got.Expires.Equal(end) || (got.Ceiling != nil) != c.Limits {
				t.Errorf("%s: %+v; want source %q, end %s, a ceiling: %v", user, got, c.Source, end, c.Limits)
			}
		}
	}
}

func (c BearerConfig) refused(t *testing.T) {
	b, issue := c.New(t)
	good, other := issue("alice", soon()), issue("bob", soon())
	middle := len(good) / 2
	for name, text := range map[string]string{
		"nothing":                 "",
		"a space":                 " ",
		"dots":                    "..",
		"a password":              "correct horse battery staple",
		"a zero byte":             "\x00",
		"not UTF-8":               "\xff\xff.\xff.\xff",
		"cut":                     good[:len(good)-6],
		"its first half":          good[:middle],
		"its second half":         good[middle:],
		"two halves of two":       good[:middle] + other[middle:],
		"more behind it":          good + "A",
		"a space behind it":       good + " ",
		"a line break behind it":  good + "\n",
		"a zero byte behind it":   good + "\x00",
		"twice":                   good + good,
		"in upper case":           strings.ToUpper(good),
		"huge":                    strings.Repeat("A", 1<<20),
		"huge, in a token's form": good + strings.Repeat("A", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := b.VerifyToken(t.Context(), text)
			if !errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrExpired) {
				t.Errorf("error %v; want ErrNoMatch", err)
			}
			if diff := cmp.Diff(access.Identity{}, got.Who); diff != "" || got.Ceiling != nil {
				t.Errorf("with the error came %+v", got)
			}
		})
	}
}

func (c BearerConfig) expired(t *testing.T) {
	b, issue := c.New(t)
	end := time.Now().Add(-time.Minute).Truncate(time.Second)
	text := issue("alice", end)
	if c.Final {
		got, err := b.VerifyToken(t.Context(), text)
		if diff := cmp.Diff(authn.Token{}, got); diff != "" || !errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrExpired) {
			t.Errorf("error %v, %s; want ErrNoMatch and nothing with it", err, diff)
		}
		return
	}
	for range 2 {
		got, err := b.VerifyToken(t.Context(), text)
		if !errors.Is(err, authn.ErrExpired) || errors.Is(err, authn.ErrNoMatch) {
			t.Fatalf("error %v; want ErrExpired", err)
		}
		if got.Who.User != "alice" || !got.Expires.Equal(end) || (got.Ceiling != nil) != c.Limits {
			t.Errorf("%+v does not say what the token was good for", got)
		}
	}
	if _, err := b.VerifyToken(t.Context(), text[:len(text)-6]); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("expired and spoilt: error %v; want ErrNoMatch", err)
	}
}

func (c BearerConfig) silent(t *testing.T) {
	b, issue := c.New(t)
	for _, text := range []string{issue("alice", soon()) + "A", issue("alice", time.Now().Add(-time.Minute)), strings.Repeat("SECRET", 10)} {
		_, err := b.VerifyToken(t.Context(), text)
		if err == nil {
			t.Fatal("no error")
		}
		if tail := text[len(text)-20:]; strings.Contains(err.Error(), tail) {
			t.Errorf("the error tells the token: %v", err)
		}
	}
}

func (c BearerConfig) atOnce(t *testing.T) {
	b, issue := c.New(t)
	alice, bob := issue("alice", soon()), issue("bob", soon())
	var all sync.WaitGroup
	for range 8 {
		for user, text := range map[string]string{"alice": alice, "bob": bob} {
			all.Go(func() {
				if got, err := b.VerifyToken(t.Context(), text); err != nil || got.Who.User != user {
					t.Errorf("%s is %q, %v", user, got.Who.User, err)
				}
				if _, err := b.VerifyToken(t.Context(), text+"A"); !errors.Is(err, authn.ErrNoMatch) {
					t.Errorf("%s, spoilt: %v", user, err)
				}
			})
		}
	}
	all.Wait()
}

// over checks that a request that is over does no harm to the next.
func (c BearerConfig) over(t *testing.T) {
	b, issue := c.New(t)
	text := issue("alice", soon())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.VerifyToken(ctx, text); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := b.VerifyToken(t.Context(), text); err != nil {
		t.Errorf("the request after it: %v", err)
	}
}
