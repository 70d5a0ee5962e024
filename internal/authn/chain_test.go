package authn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// answering is a source that always answers the same and notes that it was asked.
type answering struct {
	name  string
	err   error
	asked *[]string
}

func (a answering) VerifyPassword(_ context.Context, user, _ string) (access.Identity, error) {
	*a.asked = append(*a.asked, a.name)
	if a.err != nil {
		return access.Identity{}, a.err
	}
	return access.Identity{User: user, Source: a.name}, nil
}

func TestChain(t *testing.T) {
	t.Parallel()
	broken := errors.New("the directory does not answer")
	tests := map[string]struct {
		answers []error
		asked   []string
		source  string
		err     error
	}{
		"no sources":                   {err: authn.ErrNoMatch},
		"the first knows":              {[]error{nil, nil}, []string{"a"}, "a", nil},
		"the second knows":             {[]error{authn.ErrNoMatch, nil}, []string{"a", "b"}, "b", nil},
		"a wrong password stops":       {[]error{authn.ErrWrongPassword, nil}, []string{"a"}, "", authn.ErrWrongPassword},
		"a fault does not stop others": {[]error{broken, nil}, []string{"a", "b"}, "b", nil},
		"a fault, and nobody knows":    {[]error{broken, authn.ErrNoMatch}, []string{"a", "b"}, "", broken},
		"the first fault is told":      {[]error{broken, errors.New("another")}, []string{"a", "b"}, "", broken},
		"a wrong password behind one":  {[]error{broken, authn.ErrWrongPassword}, []string{"a", "b"}, "", authn.ErrWrongPassword},
		"being busy stops":             {[]error{authn.ErrNoMatch, authn.ErrBusy, nil}, []string{"a", "b"}, "", authn.ErrBusy},
		"nobody knows":                 {[]error{authn.ErrNoMatch, authn.ErrNoMatch}, []string{"a", "b"}, "", authn.ErrNoMatch},
		"a wrapped ErrNoMatch is none": {[]error{errors.Join(authn.ErrNoMatch), nil}, []string{"a", "b"}, "b", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			var sources []authn.Password
			for i, err := range tt.answers {
				sources = append(sources, answering{name: string(rune('a' + i)), err: err, asked: &asked})
			}
			who, err := authn.Chain(sources...).VerifyPassword(t.Context(), "alice", "x")
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v; want %v", err, tt.err)
			}
			if who.Source != tt.source {
				t.Errorf("source %q; want %q", who.Source, tt.source)
			}
			if diff := cmp.Diff(tt.asked, slices.Clip(asked)); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// recognizing is a source that takes only users who are named as it is.
type recognizing struct{ answering }

func (r recognizing) Recognizes(user, _ string) bool { return user == r.name }

// TestChainShowsSecretsToTheirSource shows credentials that a source recognizes to
// no other, be it before or behind it, and whatever comes of it.
// The log says why each source refused, and the client hears nothing of it.
func TestChainKeepsReasons(t *testing.T) {
	t.Parallel()
	var asked []string
	for name, tt := range map[string]struct {
		answers []error
		want    string
	}{
		"none":  {[]error{authn.ErrNoMatch, authn.ErrNoMatch}, authn.ErrNoMatch.Error()},
		"one":   {[]error{authn.ErrNoMatch, fmt.Errorf("ci: %w: another audience", authn.ErrNoMatch)}, "ci: " + authn.ErrNoMatch.Error() + ": another audience"},
		"two":   {[]error{fmt.Errorf("a: %w", authn.ErrNoMatch), fmt.Errorf("b: %w", authn.ErrNoMatch)}, "a: " + authn.ErrNoMatch.Error() + "\nb: " + authn.ErrNoMatch.Error()},
		"fault": {[]error{fmt.Errorf("a: %w", authn.ErrNoMatch), errors.New("broken")}, "broken"},
	} {
		var sources []authn.Password
		for _, err := range tt.answers {
			sources = append(sources, answering{err: err, asked: &asked})
		}
		_, err := authn.Chain(sources...).VerifyPassword(t.Context(), "alice", "x")
		if err == nil || err.Error() != tt.want || errors.Is(err, authn.ErrNoMatch) != (name != "fault") {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}

func TestChainShowsSecretsToTheirSource(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		user  string
		err   error // of those that recognize
		asked []string
	}{
		"recognized by one":       {"keys", nil, []string{"keys"}},
		"recognized and unknown":  {"keys", authn.ErrNoMatch, []string{"keys"}},
		"recognized, and a fault": {"keys", errors.New("no database"), []string{"keys"}},
		"recognized by nobody":    {"alice", authn.ErrNoMatch, []string{"file", "keys", "other", "directory"}},
	} {
		var asked []string
		chain := authn.Chain(
			answering{"file", authn.ErrNoMatch, &asked},
			recognizing{answering{"keys", tt.err, &asked}},
			recognizing{answering{"other", tt.err, &asked}},
			answering{"directory", authn.ErrNoMatch, &asked},
		)
		if _, err := chain.VerifyPassword(t.Context(), tt.user, "x"); tt.user == "keys" && !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v, want %v", name, err, tt.err)
		}
		if diff := cmp.Diff(tt.asked, asked); diff != "" {
			t.Errorf("%s: asked (-want +got):\n%s", name, diff)
		}
	}
}
