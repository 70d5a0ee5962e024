package tokenapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
)

// Whatever is asked, the answer is a token or a refusal in JSON, no fault of
// ours; and a token grants nothing that the policy does not.
func FuzzTokenEndpoint(f *testing.F) {
	const form = "application/x-www-form-urlencoded"
	f.Add("GET", "service=registry&scope=repository:team/app:pull,push", "", "", "Basic YWxpY2U6YWxpY2UncyBwYXNzd29yZA==")
	f.Add("GET", "service=moorgate&scope=repository(plugin):team/app:*&scope=registry:catalog:*", "", "", "")
	f.Add("GET", "service=registry&account=alice&offline_token=true", "", "", "Basic YWxpY2U6YWxpY2UncyBwYXNzd29yZA==")
	f.Add("POST", "", form, signIn+"&scope=repository:team/app:*&access_type=offline", "")
	f.Add("POST", "", form, "grant_type=refresh_token&refresh_token=alices&service=registry&client_id=x", "")
	f.Add("PUT", ";%", "x/y", "\x00", "Bearer x")
	policy := rules(f)
	f.Fuzz(func(t *testing.T, method, query, mediaType, body, authorization string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/token", strings.NewReader(body))
		r.Method, r.URL.RawQuery = method, query
		r.Header.Set("Content-Type", mediaType)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		e := newFixture(policy)
		e.refresh.tokens["alices"] = "alice for registry"
		w := e.do(r)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if w.Code != http.StatusOK {
			return
		}
		a := ok(t, w)
		for _, g := range a.claims.Access {
			for _, action := range g.Actions {
				if !allowed(policy, a.claims.Who, a.claims.Audience == "moorgate", g, action) {
					t.Fatalf("%+v gets %v for %q", a.claims.Who, g, a.claims.Audience)
				}
			}
		}
	})
}

// allowed says in other words what the policy of these tests allows: whether
// somebody may do that to some tag or, elsewhere than at a gate, to all.
func allowed(policy *access.Policy, who access.Identity, gate bool, g access.Grant, action string) bool {
	tag := access.EveryTag
	if gate {
		tag = access.SomeTag
	}
	may := func(a access.Action) bool {
		return policy.Decide(access.Question{Who: who, Scope: access.Scope{Action: a, Repo: g.Name, Tag: tag}}).Allowed
	}
	overwrite, push := may(access.Overwrite), may(access.Push)
	can := map[string]bool{
		"pull":   may(access.Pull) || gate && may(access.List),
		"push":   push && overwrite || gate && (push || overwrite),
		"delete": may(access.Delete),
	}
	can["*"] = can["pull"] && can["push"] && can["delete"]
	if g.Type == access.RegistryType {
		can = map[string]bool{"*": g.Name == access.CatalogName && allCatalog(policy, who, gate)}
	}
	return can[action]
}

// allCatalog says in other words who may be granted the catalog.
func allCatalog(policy *access.Policy, who access.Identity, gate bool) bool {
	ask := access.Admin
	if gate {
		ask = access.List
	}
	return policy.Decide(access.Question{Who: who, Scope: access.Scope{Action: ask}}).Allowed
}
