package oidc

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// writeFile writes a file that a configuration names.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// github is what GitHub says about a job (docs.github.com, "OpenID Connect reference").
func github() map[string]any {
	return map[string]any{
		"sub": "repo:acme/app:ref:refs/heads/main", "ref": "refs/heads/main", "sha": "example-sha", "repository": "acme/app",
		"repository_owner": "acme", "actor_id": "12", "repository_visibility": "private", "repository_id": "74", "repository_owner_id": "65",
		"run_id": "example-run-id", "run_number": "10", "run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat",
		"workflow": "release", "head_ref": "", "base_ref": "", "event_name": "push", "ref_type": "branch", "ref_protected": "true",
		"job_workflow_ref": "acme/ci/.github/workflows/build.yml@refs/heads/main", "environment": "production",
	}
}

// gitlab is what GitLab says about a job (docs.gitlab.com, "Token payload").
func gitlab() map[string]any {
	return map[string]any{
		"sub": "project_path:acme/app:ref_type:branch:ref:main", "namespace_id": "72", "namespace_path": "acme", "project_id": "20",
		"project_path": "acme/app", "user_id": "1", "user_login": "ada", "user_email": "ada@example.com",
		"user_identities": []any{map[string]any{"provider": "github", "extern_uid": "2435"}}, "pipeline_id": "574", "pipeline_source": "push",
		"job_id": "302", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
		"groups_direct": []any{"acme/ops", "acme/dev"}, "runner_id": 1, "runner_environment": "self-hosted", "project_visibility": "private",
	}
}

// kubernetes is what a cluster says about a pod (kubernetes.io, "Managing Service
// Accounts").
func kubernetes() map[string]any {
	return map[string]any{
		"sub": "system:serviceaccount:builds:builder", "aud": []string{"registry.example"},
		"kubernetes.io": map[string]any{
			"namespace": "builds", "node": map[string]any{"name": "node-1", "uid": "14ee3fa4"},
			"pod": map[string]any{"name": "build-1", "uid": "1a2b"}, "serviceaccount": map[string]any{"name": "builder", "uid": "3c4d"},
		},
		"warnafter": 1729601492,
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for name, tt := range map[string]struct {
		claims                map[string]any
		require, user, groups string
		want                  access.Identity
		refused               string
	}{
		"GitHub, by its subject": {
			github(), `claims.repository_owner == "acme"`, "", "", access.Identity{User: "repo:acme/app:ref:refs/heads/main"}, "",
		},
		"GitHub, by its repository": {
			github(), `claims.repository_owner_id == "65" && claims.ref_protected == "true"`, `"gh:" + claims.repository`, `["github", claims.environment]`,
			access.Identity{User: "gh:acme/app", Groups: []string{"github", "production"}},
			"",
		},
		"GitHub, another owner": {
			with(github(), "repository_owner", "mallory"), `claims.repository_owner == "acme"`, "", "", access.Identity{}, `require is false for the token of "repo:acme/app`,
		},
		"GitHub, without the environment": {
			with(github(), "environment", nil), "true", "", `[claims.environment]`, access.Identity{}, "no such key: environment",
		},
		"GitLab": {
			gitlab(), `claims.namespace_path == "acme"`, `"gl:" + claims.project_path`, `claims.groups_direct.map(g, "gl:" + g)`,
			access.Identity{User: "gl:acme/app", Groups: []string{"gl:acme/ops", "gl:acme/dev"}},
			"",
		},
		"GitLab, a number that is no text": {
			gitlab(), "true", "claims.runner_id", "", access.Identity{}, "must be string",
		},
		"Kubernetes": {
			kubernetes(), `claims["kubernetes.io"].namespace == "builds"`, `claims.sub.replace("system:serviceaccount:", "k8s:")`, `["k8s:" + claims["kubernetes.io"].namespace]`,
			access.Identity{User: "k8s:builds:builder", Groups: []string{"k8s:builds"}},
			"",
		},
		"a group twice":        {github(), "true", "", `["a", "b", "a"]`, access.Identity{User: "repo:acme/app:ref:refs/heads/main", Groups: []string{"a", "b"}}, ""},
		"a group of nothing":   {github(), "true", "", `[claims.head_ref]`, access.Identity{}, "cannot be a name"},
		"require of a text":    {github(), "claims.ref_protected", "", "", access.Identity{}, "require cannot be told"},
		"require of nothing":   {github(), "claims.trusted", "", "", access.Identity{}, "no such key: trusted"},
		"groups without end":   {with(github(), "g", manyGroups()), "true", "", "claims.g", access.Identity{}, "more than 200"},
		"groups that are none": {github(), "true", "", "claims.actor", access.Identity{}, "groups"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := i.config()
			c.Require = tt.require
			if tt.user != "" {
				c.User = tt.user
			}
			if tt.groups != "" {
				c.Groups = tt.groups
			}
			c.Claims = []string{"ref"}
			who, err := open(t, c).VerifyPassword(t.Context(), "oidc", i.token(t, tt.claims))
			if tt.refused != "" {
				if !errors.Is(err, authn.ErrNoMatch) || !strings.Contains(err.Error(), tt.refused) || who.User != "" {
					t.Errorf("%+v, %v; want %q", who, err, tt.refused)
				}
				return
			}
			tt.want.Source, tt.want.Claims = "ci", map[string]any{}
			if ref, ok := tt.claims["ref"]; ok {
				tt.want.Claims["ref"] = ref
			}
			if !who.Until.After(time.Now()) {
				t.Errorf("the end of the token is %s", who.Until)
			}
			tt.want.Until = who.Until
			if diff := cmp.Diff(tt.want, who); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func with(claims map[string]any, name string, value any) map[string]any {
	claims = maps.Clone(claims)
	claims[name] = value
	return claims
}

func manyGroups() (all []string) {
	for range 201 {
		all = append(all, "g")
	}
	return all
}
