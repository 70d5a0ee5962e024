package authn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// directory always answers the same and notes what it was asked.
type directory struct {
	name  string
	err   error
	asked *[]string
}

func (d directory) Lookup(_ context.Context, source, user string) (access.Identity, string, error) {
	*d.asked = append(*d.asked, d.name+" "+source+" "+user)
	if d.err != nil {
		return access.Identity{}, "", d.err
	}
	return access.Identity{User: user, Source: d.name}, "stamp of " + d.name, nil
}

func TestDirectoriesAskInOrder(t *testing.T) {
	t.Parallel()
	broken := errors.New("the directory does not answer")
	tests := map[string]struct {
		answers []error
		asked   []string
		source  string
		err     error
	}{
		"none":                         {err: authn.ErrCannotTell},
		"the first knows":              {[]error{nil, nil}, []string{"a s alice"}, "a", nil},
		"the second knows":             {[]error{authn.ErrNoMatch, nil}, []string{"a s alice", "b s alice"}, "b", nil},
		"a fault stops":                {[]error{broken, nil}, []string{"a s alice"}, "", broken},
		"a fault of the second":        {[]error{authn.ErrNoMatch, broken, nil}, []string{"a s alice", "b s alice"}, "", broken},
		"nobody knows":                 {[]error{authn.ErrNoMatch, authn.ErrNoMatch}, []string{"a s alice", "b s alice"}, "", authn.ErrNoMatch},
		"of others":                    {[]error{authn.ErrCannotTell, nil}, []string{"a s alice", "b s alice"}, "b", nil},
		"nobody can tell":              {[]error{authn.ErrCannotTell, authn.ErrCannotTell}, []string{"a s alice", "b s alice"}, "", authn.ErrCannotTell},
		"gone from the first":          {[]error{authn.ErrNoMatch, authn.ErrCannotTell}, []string{"a s alice", "b s alice"}, "", authn.ErrNoMatch},
		"gone from the second":         {[]error{authn.ErrCannotTell, authn.ErrNoMatch}, []string{"a s alice", "b s alice"}, "", authn.ErrNoMatch},
		"a wrapped ErrNoMatch is none": {[]error{errors.Join(authn.ErrNoMatch), nil}, []string{"a s alice", "b s alice"}, "b", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			var list []authn.Directory
			for i, err := range tt.answers {
				list = append(list, directory{name: string(rune('a' + i)), err: err, asked: &asked})
			}
			who, stamp, err := authn.Directories(list...).Lookup(t.Context(), "s", "alice")
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v; want %v", err, tt.err)
			}
			want, wantStamp := access.Identity{}, ""
			if tt.source != "" {
				want, wantStamp = access.Identity{User: "alice", Source: tt.source}, "stamp of "+tt.source
			}
			if diff := cmp.Diff(want, who); diff != "" || stamp != wantStamp {
				t.Errorf("stamp %q; want %q; identity (-want +got):\n%s", stamp, wantStamp, diff)
			}
			if diff := cmp.Diff(tt.asked, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}
