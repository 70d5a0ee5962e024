package tokenapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The requests of clients, in the form in which each of them asks.
func TestRequestsOfClients(t *testing.T) {
	t.Parallel()
	const (
		alice = "Basic YWxpY2U6YWxpY2UncyBwYXNzd29yZA==" // alice's password
		form  = "application/x-www-form-urlencoded"
	)
	for name, tt := range map[string]struct {
		query, authorization string
		body, mediaType      string
		want                 string // granted
		refresh              bool   // there is a refresh token in the answer
		anonymous            bool
	}{
		"docker login": { // moby/registry, auth.go
			query: "account=alice&client_id=docker&offline_token=true&service=registry", authorization: alice, refresh: true,
		},
		"docker pull": { // distribution, client/auth/session.go
			query: "account=alice&scope=repository%3Ateam%2Fapp%3Apull&service=registry", authorization: alice,
			want: "repository:team/app:pull",
		},
		"docker push with a mount": {
			query: "account=alice&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Apublic%2Fbase%3Apull&service=registry", authorization: alice,
			want: "repository:team/app:pull,push repository:public/base:pull",
		},
		"docker plugin": {
			query: "account=alice&scope=repository%28plugin%29%3Ateam%2Fapp%3Apull&service=registry", authorization: alice,
			want: "repository(plugin):team/app:pull",
		},
		"docker pull by nobody": {
			query: "scope=repository%3Apublic%2Fbase%3Apull&service=registry", anonymous: true,
			want: "repository:public/base:pull",
		},
		"docker pull, logged in with a refresh token": {
			body:      "client_id=docker&grant_type=refresh_token&refresh_token=alices&scope=repository%3Ateam%2Fapp%3Apull&service=registry",
			mediaType: form, refresh: true, want: "repository:team/app:pull",
		},
		"containerd": { // core/remotes/docker/auth, fetch.go
			body:      "access_type=offline&client_id=containerd-client&grant_type=password&password=alice%27s+password&scope=repository%3Ateam%2Fapp%3Apull+repository%3Apublic%2Fbase%3Apull&service=registry&username=alice",
			mediaType: form + "; charset=utf-8", refresh: true, want: "repository:team/app:pull repository:public/base:pull",
		},
		"skopeo login": { // containers/image, docker_client.go
			query: "account=alice&service=registry", authorization: alice,
		},
		"skopeo copy": {
			query: "account=alice&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&service=registry", authorization: alice,
			want: "repository:team/app:pull,push",
		},
		"skopeo delete": {
			query: "account=alice&scope=repository%3Ateam%2Fapp%3A%2A&service=registry", authorization: alice,
			want: "repository:team/app:pull,push,delete,*",
		},
		"skopeo with a refresh token": { // which sends scopes as parameters of their own
			body:      "client_id=containers%2Fimage&grant_type=refresh_token&refresh_token=alices&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Apublic%2Fbase%3Apull&service=registry",
			mediaType: form, refresh: true, want: "repository:team/app:pull,push repository:public/base:pull",
		},
		"crane": { // go-containerregistry, transport/bearer.go
			query: "scope=repository%3Ateam%2Fapp%3Apush%2Cpull&service=registry", authorization: alice,
			want: "repository:team/app:pull,push",
		},
		"crane, after a second challenge": { // which adds what it was told to what it had
			query: "scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Ateam%2Fapp%3Apull&service=registry", authorization: alice,
			want: "repository:team/app:pull,push",
		},
		"crane ping": {
			query: "scope=&service=registry", authorization: alice,
		},
		"crane catalog": {
			query: "scope=registry%3Acatalog%3A%2A&service=registry", authorization: alice,
		},
		"crane with a refresh token": {
			body:      "client_id=go-containerregistry&grant_type=refresh_token&refresh_token=alices&scope=repository%3Ateam%2Fapp%3Apull&service=registry",
			mediaType: form, refresh: true, want: "repository:team/app:pull",
		},
		"regctl": { // regclient, internal/auth/auth.go
			query: "account=alice&client_id=regclient&scope=repository%3Ateam%2Fapp%3Apull%2Cdelete&service=registry", authorization: alice,
			want: "repository:team/app:pull,delete",
		},
		"oras": { // oras-go, registry/remote/auth/client.go
			query: "scope=repository%3Ateam%2Fapp%3Adelete%2Cpull%2Cpush&service=registry", authorization: alice,
			want: "repository:team/app:pull,push,delete",
		},
		"oras with OAuth2": {
			body:      "client_id=oras-go&grant_type=password&password=alice%27s+password&scope=repository%3Ateam%2Fapp%3Apull&service=registry&username=alice",
			mediaType: form, want: "repository:team/app:pull",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(rules(t))
			f.refresh.tokens["alices"] = "alice for registry"
			method := http.MethodGet
			if tt.body != "" {
				method = http.MethodPost
			}
			r := httptest.NewRequestWithContext(t.Context(), method, "/token?"+tt.query, strings.NewReader(tt.body))
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			if tt.mediaType != "" {
				r.Header.Set("Content-Type", tt.mediaType)
			}
			a := ok(t, f.do(r))
			if a.granted() != tt.want || a.claims.Who.IsAnonymous() != tt.anonymous || (a.RefreshToken != nil) != tt.refresh {
				t.Errorf("granted %q to %+v, refresh token %v", a.granted(), a.claims.Who, a.RefreshToken)
			}
		})
	}
}
