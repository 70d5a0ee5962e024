package app_test

import (
	"net/http"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// claimRules ask about claims, which people of a password file have none of.
const claimRules = `
access:
  rules:
    - {who: user:alice, may: [pull, push], repos: "team/app"}
    - {who: user:alice, may: [pull, push], repos: "token/**", when: 'size(claims) > 0'}
    - {who: user:alice, may: [pull, push], repos: "none/**", when: 'size(claims) == 0'}
    - {who: user:alice, may: [pull, push], repos: "sub/**", when: 'has(claims.sub) && claims.sub == "alice"'}
`

// TestClaimsAreNeverOurs: a rule over claims answers the same by password, by a token
// for it, by a key and by a token for that. What we write into our tokens is no claim.
func TestClaimsAreNeverOurs(t *testing.T) {
	t.Parallel()
	bothGates(t, claimRules, func(t *testing.T, s *testserver.Server) {
		k := keysOf(t, s)
		nobody, alice := k.c, k.c.as("alice", "the password of alice")
		_, laptop := k.personal("alice", "laptop")
		key := nobody.as("alice", laptop.Secret)
		session := func(password string) string {
			return nobody.startSession(t, http.StatusOK, "grant_type", "password", "username", "alice", "password", password).Token
		}
		repos := map[string]int{
			"team/app": http.StatusAccepted, "none/app": http.StatusAccepted,
			"token/app": http.StatusNotFound, "sub/app": http.StatusNotFound,
		}
		for repo, want := range repos {
			scope := "repository:" + repo + ":pull,push"
			for how, c := range map[string]struct {
				client  *client
				headers []string
			}{
				"the password":              {alice, nil},
				"a token for the password":  {nobody, []string{"Authorization", "Bearer " + nobody.token(t, "alice", scope)}},
				"a key":                     {key, nil},
				"a key as a token":          {nobody, []string{"Authorization", "Bearer " + laptop.Secret}},
				"a token for a key":         {nobody, key.trade(t, scope)},
				"a session of the password": {nobody.as("alice", session("the password of alice")), nil},
				"a session of the key":      {nobody.as("alice", session(laptop.Secret)), nil},
			} {
				got := c.client.do(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, c.headers...).status
				if (got == http.StatusAccepted) != (want == http.StatusAccepted) {
					t.Errorf("%s, by %s: status %d, want %d", repo, how, got, want)
				}
			}
		}
	})
}
