package access_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
)

// githubClaims are some of a job's.
func githubClaims() map[string]any {
	return map[string]any{
		"sub": "repo:acme/app:ref:refs/heads/main", "repository": "acme/app", "run": 12.0, "ok": true,
		"groups": []any{"dev", "ops"}, "mixed": []any{"dev", 1.0}, "none": nil, "nested": map[string]any{"path": "a/b"},
	}
}

func TestClaimsBecomeText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"claims.sub":                             "repo:acme/app:ref:refs/heads/main",
		`"gh:" + claims.repository`:              "gh:acme/app",
		`claims["nested"].path`:                  "a/b",
		`claims.sub.split(":")[1].upperAscii()`:  "ACME/APP",
		`has(claims.email) ? claims.email : "x"`: "x",
		"claims.run":                             "!it is double, and must be string",
		"claims.groups":                          "!it is list, and must be string",
		"claims.none":                            "!it is null_type, and must be string",
		"claims.email":                           "!no such key: email",
		"claims.sub.email":                       "!no such",
	} {
		e, err := access.CompileClaims[string](text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := e.Text(githubClaims())
		if err != nil {
			got = "!" + err.Error()
		}
		if got != want && (want[0] != '!' || !strings.Contains(got, want[1:])) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestClaimsBecomeTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"[]":                             {},
		"claims.groups":                  {"dev", "ops"},
		`["ci", claims.repository]`:      {"ci", "acme/app"},
		`claims.groups.map(g, "k:" + g)`: {"k:dev", "k:ops"},
		"claims.mixed":                   nil,
		"claims.sub":                     nil,
		"claims.none":                    nil,
		"claims.nested":                  nil,
		"claims.absent":                  nil,
	} {
		e, err := access.CompileClaims[[]string](text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := e.Texts(githubClaims())
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
}

func TestClaimsAreTrueOrFalse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`claims.repository == "acme/app"`:   true,
		`claims.repository.startsWith("x")`: false,
		"claims.ok":                         true,
		"true":                              true,
	} {
		e, err := access.CompileClaims[bool](text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := e.Truth(githubClaims()); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if e.AsksClaims() != strings.Contains(text, "claims") {
			t.Errorf("%s asks claims: %v", text, e.AsksClaims())
		}
	}
	for _, text := range []string{"claims.sub", "claims.absent", "claims.none"} {
		e, err := access.CompileClaims[bool](text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := e.Truth(githubClaims()); got || err == nil {
			t.Errorf("%s: %v, %v; it is neither true nor false", text, got, err)
		}
	}
}

func TestMistakesInClaimsExpressionsAreFound(t *testing.T) {
	t.Parallel()
	check := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	_, err := access.CompileClaims[string]("claims.sub +")
	check(err, "Syntax error")
	_, err = access.CompileClaims[string]("claim.sub")
	check(err, "undeclared reference to 'claim'")
	_, err = access.CompileClaims[string]("who.user")
	check(err, "undeclared reference to 'who'")
	_, err = access.CompileClaims[string]("1")
	check(err, "it is int, and must be string")
	_, err = access.CompileClaims[string]("")
	check(err, "")
	_, err = access.CompileClaims[[]string](`"dev"`)
	check(err, "it is string, and must be list(string)")
	_, err = access.CompileClaims[bool]("claims.groups.map(g, g)")
	check(err, "must be bool")
	_, err = access.CompileClaims[string](strings.Repeat("(", 60) + "claims.sub" + strings.Repeat(")", 60))
	check(err, "")
}

// Whoever makes the token chooses how long its lists are.
func TestClaimsCannotKeepUsBusy(t *testing.T) {
	t.Parallel()
	e, err := access.CompileClaims[bool]("claims.l.all(a, claims.l.all(b, claims.l.all(c, a + b + c >= 0.0)))")
	if err != nil {
		t.Fatal(err)
	}
	list := make([]any, 3000)
	for i := range list {
		list[i] = 1.0
	}
	if _, err := e.Truth(map[string]any{"l": list}); err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("error %v", err)
	}
}
