package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/session"
	"github.com/moorgate/moorgate/internal/token"
)

// everybody is a directory in which everybody is, with one password.
type everybody struct{}

func (everybody) Lookup(_ context.Context, source, user string) (access.Identity, string, error) {
	return access.Identity{User: user, Source: source}, "stamp", nil
}

func TestContract(t *testing.T) {
	t.Parallel()
	authntest.RunBearer(t, authntest.BearerConfig{Source: "file", New: func(t *testing.T) (authn.Bearer, func(string, time.Time) string) {
		keys, err := token.OpenKeys(t.TempDir(), token.KeysOptions{})
		if err != nil {
			t.Fatal(err)
		}
		at := func(now func() time.Time) *session.Sessions {
			return &session.Sessions{
				Issuer: issuer, Sign: keys.Sign, Users: everybody{}, Secret: []byte("of the test"), TTL: 5 * time.Minute, Now: now,
				Verifier: &token.Verifier{Issuer: issuer, Audience: session.Audience, Keys: keys, Sessions: true},
			}
		}
		return at(time.Now), func(user string, expires time.Time) string {
			made, err := at(func() time.Time { return expires.Add(-5 * time.Minute) }).Issue(t.Context(), access.Identity{User: user, Source: "file"})
			if err != nil {
				t.Error(err)
			}
			return made.Token
		}
	}})
}
