package app_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// guarded is what mallory attacks: she may push to her own place, delete what is
// not released there, and read what is public.
const guarded = `
token: {challenge: bearer}
access:
  rules:
    - {who: "user:mallory", may: [pull, push, delete], repos: ["team/**", "home/mallory/**"]}
    - {who: "*", deny: [overwrite, delete], repos: "team/**", tags: "v*", because: "releases stay"}
    - {who: "user:alice", may: [pull, push], repos: ["team/**"]}
    - {who: "user:bob", may: [pull, push, delete], repos: "secret/**"}
    - {who: "*", may: pull, repos: "public/**"}
    - {who: "user:mallory", may: pull, repos: "inside/**", when: 'request.client == "10.0.0.1"'}
`

func TestMalloryAndContent(t *testing.T) {
	t.Parallel()
	bothGates(t, guarded, func(t *testing.T, s *testserver.Server) {
		nobody := newClient(t, s, nil)
		person := func(name string) *client { return nobody.as(name, "the password of "+name) }
		alice, bob, mallory := person("alice"), person("bob"), person("mallory")
		secret, released := []byte(`{"secret":true}`), []byte(`{"released":true}`)
		bob.push(t, "secret/app", secret)

		// A mount from what she cannot read is a plain upload, named source or not.
		mallory.want(t, http.StatusAccepted, http.MethodPost, "/v2/home/mallory/x/blobs/uploads/?mount="+digestOf(secret)+"&from=secret/app", nil)
		mallory.want(t, http.StatusAccepted, http.MethodPost, "/v2/home/mallory/x/blobs/uploads/?mount="+digestOf(secret), nil)
		mallory.want(t, http.StatusNotFound, http.MethodGet, "/v2/home/mallory/x/blobs/"+digestOf(secret), nil)
		// A manifest does not make foreign content hers.
		a := mallory.want(t, http.StatusNotFound, http.MethodPut, "/v2/home/mallory/x/manifests/v1", bytes.NewReader(manifest(secret, 1)), "Content-Type", manifestType)
		if a.code() != "MANIFEST_BLOB_UNKNOWN" {
			t.Errorf("a manifest that names a foreign blob: %s", a.body)
		}
		// Another user's upload, in a repository where both may push.
		session := alice.session(t, "team/app")
		for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodDelete} {
			mallory.want(t, http.StatusNotFound, method, session, nil)
		}
		mallory.want(t, http.StatusNotFound, http.MethodPut, session+"?digest="+digestOf(nil), nil)
		alice.want(t, http.StatusNoContent, http.MethodGet, session, nil)

		// A protected tag: not moved, not deleted, not taken away from below.
		alice.push(t, "team/app", released)
		image := manifest(released, 1)
		alice.want(t, http.StatusCreated, http.MethodPut, "/v2/team/app/manifests/"+digestOf(image), bytes.NewReader(image), "Content-Type", manifestType)
		index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, manifestType, digestOf(image), len(image))
		const indexType = "application/vnd.oci.image.index.v1+json"
		alice.want(t, http.StatusCreated, http.MethodPut, "/v2/team/app/manifests/v1", bytes.NewReader(index), "Content-Type", indexType)
		mallory.want(t, http.StatusForbidden, http.MethodPut, "/v2/team/app/manifests/v1", bytes.NewReader(image), "Content-Type", manifestType)
		for _, path := range []string{"manifests/v1", "manifests/" + digestOf(index), "manifests/" + digestOf(image), "blobs/" + digestOf(released)} {
			a := mallory.want(t, http.StatusForbidden, http.MethodDelete, "/v2/team/app/"+path, nil)
			if !strings.Contains(string(a.body), "releases stay") {
				t.Errorf("the denial does not name its rule: %s", a.body)
			}
		}
		alice.holds(t, "team/app", released)
		alice.want(t, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1", nil)
	})
}

// forge returns a token with another header, and signed by sign.
func forge(t *testing.T, token string, header map[string]any, sign func(string) []byte) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString(h) + "." + strings.Split(token, ".")[1]
	return signed + "." + base64.RawURLEncoding.EncodeToString(sign(signed))
}

func TestMalloryAndTokens(t *testing.T) {
	t.Parallel()
	bothGates(t, guarded, func(t *testing.T, s *testserver.Server) {
		c := newClient(t, s, nil)
		good := c.token(t, "mallory", "repository:team/app:pull repository:secret/app:pull")
		jwks := c.want(t, http.StatusOK, http.MethodGet, "/.well-known/jwks.json", nil).body
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(jwks, &set); err != nil || len(set.Keys) != 1 {
			t.Fatalf("%v: %s", err, jwks)
		}
		kid := set.Keys[0]["kid"]
		for _, secret := range [][]byte{jwks, fmt.Append(nil, set.Keys[0]["x"]), fmt.Append(nil, kid)} {
			mac := func(text string) []byte { m := hmac.New(sha256.New, secret); m.Write([]byte(text)); return m.Sum(nil) }
			for _, header := range []map[string]any{
				{"alg": "none"},
				{"alg": "none", "kid": kid},
				{"alg": "HS256", "kid": kid},
				{"alg": "ES256", "kid": kid},
				{"alg": "HS256", "jwk": map[string]string{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString(secret)}},
				{"alg": "ES256", "kid": "../../etc/passwd"},
				{"alg": "ES256", "jku": "http://127.0.0.1:1/keys", "kid": "x"},
			} {
				for _, sign := range []func(string) []byte{mac, func(string) []byte { return nil }} {
					a := c.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/team/app/tags/list", nil, "Authorization", "Bearer "+forge(t, good, header, sign))
					if !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
						t.Errorf("%v: the challenge is %s", header, a.header.Get("WWW-Authenticate"))
					}
				}
			}
		}
		// A token is no more than the policy, and no more than it says.
		c.want(t, http.StatusNotFound, http.MethodGet, "/v2/secret/app/tags/list", nil, "Authorization", "Bearer "+good) // no token would help
		c.want(t, http.StatusUnauthorized, http.MethodPost, "/v2/team/app/blobs/uploads/", nil, "Authorization", "Bearer "+good)
		// A token of another service, whose keys and issuer have the same names.
		other := start(t, guarded, "--htpasswd", passwordFile(t, "mallory"))
		stranger := newClient(t, other, nil).token(t, "mallory", "repository:team/app:pull")
		c.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/team/app/tags/list", nil, "Authorization", "Bearer "+stranger)
		// The endpoint: another service, and scopes without end.
		c.want(t, http.StatusBadRequest, http.MethodGet, "/token?service=elsewhere&scope=repository:team/app:pull", nil)
		c.want(t, http.StatusBadRequest, http.MethodGet, "/token?service=moorgate&scope="+strings.Repeat("repository:a:pull%20", 500), nil)
		c.as("bob", "wrong").want(t, http.StatusUnauthorized, http.MethodGet, "/token?service=moorgate", nil)
	})
}
