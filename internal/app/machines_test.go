package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/oidctest"
)

// machines is a configuration that takes the tokens of a provider, beside a file of
// users. Jobs of acme may push what they are about, from main only.
func machines(t *testing.T, p *oidctest.Provider) string {
	t.Helper()
	return fmt.Sprintf(`
login:
  - name: ci
    oidc:
      issuer: %s
      ca: %s
      audience: [registry.example]
      require: 'claims.owner == "acme"'
      user: '"job:" + claims.project'
      groups: '["jobs"]'
      refresh: 1s
      timeout: 30s
  - htpasswd: {file: %s}
access:
  rules:
    - {who: group:jobs, may: [pull], repos: "**"}
    - {who: group:jobs, may: [push], repos: "acme/**", when: 'claims.ref == "main" && repo == claims.project'}
    - {who: user:alice, may: [pull, push], repos: "**"}
`, p.Issuer, p.CA, usersFile(t, "file word 3"))
}

func job(ref string) map[string]any {
	return map[string]any{"sub": "x", "aud": "registry.example", "owner": "acme", "project": "acme/app", "ref": ref}
}

// TestMachinesBesideAFile lets jobs in by their ID tokens: as a password, as a Bearer
// token, and for a token of ours. The rules see the claims in each way.
func TestMachinesBesideAFile(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := start(t, machines(t, p))
	anybody := newClient(t, s, nil)
	main, branch := p.Token(t, job("main")), p.Token(t, job("feature"))
	for name, tt := range map[string]struct {
		token string
		path  string
		want  int
	}{
		"main, its project":      {main, "/v2/acme/app/blobs/uploads/", http.StatusAccepted},
		"main, another project":  {main, "/v2/acme/other/blobs/uploads/", http.StatusForbidden},
		"a branch, its project":  {branch, "/v2/acme/app/blobs/uploads/", http.StatusForbidden},
		"main, another owner's":  {main, "/v2/other/app/blobs/uploads/", http.StatusForbidden},
		"a branch, the projects": {branch, "/v2/acme/other/blobs/uploads/", http.StatusForbidden},
	} {
		password, ours := anybody.as("oidc", tt.token), tokenOfOurs(t, anybody.as("oidc", tt.token))
		for way, got := range map[string]int{
			"as a password":   password.do(t, http.MethodPost, tt.path, nil).status,
			"as a Bearer":     anybody.do(t, http.MethodPost, tt.path, nil, "Authorization", "Bearer "+tt.token).status,
			"through /token":  anybody.do(t, http.MethodPost, tt.path, nil, "Authorization", "Bearer "+ours).status,
			"as one who asks": tt.want,
		} {
			if got != tt.want {
				t.Errorf("%s, %s: status %d, want %d", name, way, got, tt.want)
			}
		}
	}
	if got := anybody.as("alice", "file word 3").status(t); got != http.StatusOK {
		t.Errorf("alice gets %d", got)
	}
	p.Stop() // the keys are known
	if got := anybody.as("oidc", main).status(t); got != http.StatusOK {
		t.Errorf("while the provider is away: %d", got)
	}
}

// tokenOfOurs trades the credentials of c for a token of ours, as docker does.
func tokenOfOurs(t *testing.T, c *client) string {
	t.Helper()
	got := c.do(t, http.MethodGet, "/token?service=moorgate&account=oidc&offline_token=true&scope=repository:acme/app:pull,push&scope=repository:acme/other:pull,push&scope=repository:other/app:pull,push", nil)
	var answer struct {
		Token   string `json:"token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(got.body, &answer); err != nil || got.status != http.StatusOK {
		t.Fatalf("/token: %d %s", got.status, got.body)
	}
	if answer.Refresh != "" {
		t.Error("a job got a refresh token, which outlives it")
	}
	return answer.Token
}

// The client hears nothing, and the log says why.
func TestTheLogSaysWhyATokenIsRefused(t *testing.T) {
	t.Parallel()
	p, other := oidctest.Start(t), oidctest.Start(t)
	s := start(t, machines(t, p))
	anybody := newClient(t, s, nil)
	with := func(name string, value any) map[string]any {
		claims := job("main")
		claims[name] = value
		return claims
	}
	now := time.Now()
	for why, token := range map[string]string{
		`it is for \"[sts.example]\"`:                  p.Token(t, with("aud", "sts.example")),
		`require is false for the token of \"x\"`:      p.Token(t, with("owner", "mallory")),
		"require cannot be told":                       p.Token(t, map[string]any{"sub": "y", "aud": "registry.example"}),
		"ci: the token has expired: it was good until": p.Token(t, with("exp", now.Add(-7*time.Minute).Unix())),
		"from now: compare the clocks":                 p.Token(t, with("nbf", now.Add(time.Hour).Unix())),
		`it is from the issuer \"` + other.Issuer:      other.Token(t, job("main")),
		"its key":  other.Token(t, with("iss", p.Issuer)),
		"user is ": p.Token(t, with("project", "a\nb")),
		"more than 4096: name those that the rules ask":   p.Token(t, with("bulk", strings.Repeat("x", 5000))),
		"user cannot be told for the token of \\\"z\\\":": p.Token(t, map[string]any{"sub": "z", "aud": "registry.example", "owner": "acme"}),
	} {
		for way, got := range map[string]answer{
			"as a password":  anybody.as("oidc", token).do(t, http.MethodGet, "/v2/", nil),
			"as a Bearer":    anybody.do(t, http.MethodGet, "/v2/", nil, "Authorization", "Bearer "+token),
			"through /token": anybody.as("oidc", token).do(t, http.MethodGet, "/token?service=moorgate", nil),
		} {
			if got.status != http.StatusUnauthorized || strings.Contains(string(got.body), "require") || strings.Contains(string(got.body), "issuer") {
				t.Errorf("%s, %s: %d %s", why, way, got.status, got.body)
			}
		}
		logged(t, s, "login", why)
		if strings.Contains(s.Log(), token[len(token)-30:]) {
			t.Errorf("%s: the token is in the log", why)
		}
	}
}

// A provider that cannot be reached keeps nobody out but its own.
func TestAProviderThatIsAway(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	token := p.Token(t, job("main"))
	p.Stop()
	s := start(t, machines(t, p))
	logged(t, s, "nobody can sign in with a token until its keys can be had", "ci: ", "connection refused")
	anybody := newClient(t, s, nil)
	machine := anybody.as("oidc", token)
	for way, got := range map[string]answer{
		"as a password": machine.do(t, http.MethodGet, "/v2/", nil),
		"as a Bearer":   anybody.do(t, http.MethodGet, "/v2/", nil, "Authorization", "Bearer "+token),
	} {
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d, Retry-After %q", way, got.status, got.header.Get("Retry-After"))
		}
	}
	if got := anybody.as("alice", "file word 3").status(t); got != http.StatusOK {
		t.Errorf("alice gets %d", got)
	}
	if got := anybody.as("oidc", "a password").status(t); got != http.StatusUnauthorized {
		t.Errorf("somebody called oidc gets %d", got)
	}
	p.Restart(t)
	anybody.as("oidc", p.Token(t, job("main"))).soon(t, http.StatusOK)
}

// The keys of a cluster that cannot be reached are in a file, which changes.
func TestKeysOfAClusterInAFile(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	keys := func() string {
		resp, err := p.HTTP.Get(p.Issuer + "/keys")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var set json.RawMessage
		if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
			t.Fatal(err)
		}
		return string(set)
	}
	file := write(t, filepath.Join(t.TempDir(), "jwks.json"), keys())
	s := start(t, fmt.Sprintf(`
login:
  - oidc: {issuer: "https://kubernetes.default.svc", keys_file: %s, audience: registry.example, require: "true"}
`, file))
	anybody := newClient(t, s, nil)
	claims := map[string]any{"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:builds:builder", "aud": []string{"registry.example"}}
	if got := anybody.as("oidc", p.Token(t, claims)).status(t); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
	p.Rotate(t, false)
	pod := anybody.as("oidc", p.Token(t, claims))
	if got := pod.status(t); got != http.StatusUnauthorized {
		t.Errorf("with a key that is not in the file: status %d", got)
	}
	write(t, file, keys())
	pod.soon(t, http.StatusOK)
}

// A job gets a session under a name that a request can carry, and it may what the job
// may.
func TestTheSessionOfAJob(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	anybody := newClient(t, start(t, machines(t, p)), nil)
	got := anybody.startSession(t, http.StatusOK, "grant_type", "password", "username", "oidc", "password", p.Token(t, job("main")), "access_type", "offline")
	if got.Account != "job_acme/app" || got.Refresh != "" {
		t.Errorf("account %q, a refresh token: %v", got.Account, got.Refresh != "")
	}
	in := anybody.as(got.Account, got.Token)
	if status := in.do(t, http.MethodPost, "/v2/acme/app/blobs/uploads/", nil).status; status != http.StatusAccepted {
		t.Errorf("its project: status %d", status)
	}
	if status := in.do(t, http.MethodPost, "/v2/acme/other/blobs/uploads/", nil).status; status != http.StatusForbidden {
		t.Errorf("another project: status %d", status)
	}
}
