package authn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// present is a presence that always answers the same.
type present struct {
	user string
	err  error
}

func (p present) VerifyArrival(context.Context, authn.Arrival) (access.Identity, error) {
	return access.Identity{User: p.user}, p.err
}

func TestPresences(t *testing.T) {
	t.Parallel()
	nothing := present{err: authn.ErrNoMatch}
	stranger := present{err: fmt.Errorf("%w: a certificate of others", authn.ErrNoMatch)}
	broken := present{err: errors.New("no authority")}
	for name, tt := range map[string]struct {
		list []authn.Presence
		user string
		err  string // what the error has; "": none
	}{
		"none":                   {nil, "", "not known"},
		"nothing shown":          {[]authn.Presence{nothing, nothing}, "", "not known"},
		"the second knows":       {[]authn.Presence{nothing, present{user: "bob"}}, "bob", ""},
		"the first counts":       {[]authn.Presence{present{user: "alice"}, present{user: "bob"}}, "alice", ""},
		"why nobody is let in":   {[]authn.Presence{stranger, nothing}, "", "a certificate of others"},
		"a stranger to one only": {[]authn.Presence{stranger, present{user: "bob"}}, "bob", ""},
		"a fault is an answer":   {[]authn.Presence{broken, present{user: "bob"}}, "", "no authority"},
	} {
		who, err := authn.Presences(tt.list...).VerifyArrival(t.Context(), authn.Arrival{})
		if who.User != tt.user || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", name, who.User, err, tt.user, tt.err)
		}
	}
	if _, err := authn.Presences(nothing, nothing).VerifyArrival(t.Context(), authn.Arrival{}); err != authn.ErrNoMatch { //nolint:errorlint // the bare one
		t.Errorf("nothing shown is %v, which looks like something", err)
	}
}
