package token_test

import (
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/token"
)

func TestContract(t *testing.T) {
	t.Parallel()
	authntest.RunBearer(t, authntest.BearerConfig{Source: "htpasswd", Limits: true, New: func(t *testing.T) (authn.Bearer, func(string, time.Time) string) {
		keys := openKeys(t, t.TempDir(), token.KeysOptions{})
		v := &token.Verifier{Issuer: issuer, Audience: service, Keys: keys}
		return v, func(user string, expires time.Time) string {
			c := newClock().claims()
			c.Who.User, c.IssuedAt, c.Expires = user, expires.Add(-5*time.Minute), expires
			return sign(t, keys, c, false)
		}
	}})
}
