package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// TestSessionsOfKeys: a session is worth what its key is worth, and ends with it, at a
// registry and at a gateway.
func TestSessionsOfKeys(t *testing.T) {
	t.Parallel()
	bothGates(t, keyRules, func(t *testing.T, s *testserver.Server) {
		k := keysOf(t, s)
		k.c.as("alice", "the password of alice").put(t, "team/app", "v1")
		k.c.as("alice", "the password of alice").put(t, "team/web", "v1")
		robot, robotKey := k.robot("ci", "pull:team/app")
		laptop, laptopKey := k.personal("alice", "laptop", "pull:team/app")
		for _, c := range []*client{robot, laptop} {
			got := k.c.startSession(t, http.StatusOK, "grant_type", "password", "username", c.user, "password", c.password, "access_type", "offline")
			if got.Account != c.user || got.Refresh != "" {
				t.Errorf("%s: account %q, a refresh token: %v", c.user, got.Account, got.Refresh != "")
			}
			in := k.c.as(got.Account, got.Token)
			in.wants(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1")
			if a := in.do(t, http.MethodGet, "/v2/team/web/manifests/v1", nil); a.status != http.StatusForbidden && a.status != http.StatusNotFound {
				t.Errorf("the session of %s may more than its key: status %d", c.user, a.status)
			}
			in.want(t, http.StatusForbidden, http.MethodPost, "/v2/team/app/blobs/uploads/", nil)

			// A registry token that is made with the session has the limits too.
			token := in.trade(t, "repository:team/web:pull,push")
			if a := k.c.do(t, http.MethodGet, "/v2/team/web/manifests/v1", nil, token...); a.status == http.StatusOK {
				t.Errorf("a token of the session of %s may more than its key", c.user)
			}
			bearer := []string{"Authorization", "Bearer " + got.Token}
			k.c.want(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1", nil, bearer...)

			id := robotKey.ID
			if c == laptop {
				id = laptopKey.ID
			}
			k.revoke(id)
			in.wants(t, http.StatusUnauthorized, http.MethodGet, "/v2/team/app/manifests/v1")
			k.c.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/team/app/manifests/v1", nil, bearer...)
			if strings.Contains(s.Log(), got.Token) {
				t.Error("the log has the session")
			}
		}
	})
}
