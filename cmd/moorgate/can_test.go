package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExamplesAnswerAsTheySay asks the policies in examples/ what their comments
// promise.
func TestExamplesAnswerAsTheySay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, question string
		code           int
		answer         string // the beginning
	}{
		{"policy.yaml", "anonymous pull public/tool:v1", 0, "yes: rule 1"},
		{"policy.yaml", "anonymous push public/tool", 1, "no: no rule allows it"},
		{"policy.yaml", "alice push team/app:v1", 0, "yes: rule 2"},
		{"policy.yaml", "alice delete team/app", 1, "no: no rule allows it"},
		{"policy.yaml", "alice push prod/app:v1", 0, "yes: rule 2"},
		{"policy.yaml", "alice overwrite prod/app:v1", 1, "no: rule 5: release tags are final"},
		{"policy.yaml", "alice overwrite prod/app:latest", 0, "yes: rule 2"},
		{"policy.yaml", "rita overwrite prod/app:v1", 0, "yes: rule 3"},
		{"policy.yaml", "carol push home/carol/x", 0, "yes: rule 4"},
		{"policy.yaml", "carol pull home/alice/x", 1, "no: no rule allows it"},
		{"policy.yaml", "ci push nightly/app --client 10.1.2.3", 0, "yes: rule 6"},
		{"policy.yaml", "ci push nightly/app --client 192.0.2.1", 1, "no: "},
		{"policy.yaml", "ci push nightly/app", 1, "no: "},
		{"policy.yaml", "alice push team/app --key pull:team/**", 1, "no: the key does not allow it"},
		{"policy.yaml", "alice push team/app --key pull:** --key push:team/app", 0, "yes: rule 2"},
		{"policy.yaml", "alice pull other/app --key pull:**", 1, "no: no rule allows it"},
		{"policy.yaml", "bot push any/thing --robot --key push:any/thing", 0, "yes: the key bot allows it"},
		{"policy.yaml", "bot delete any/thing --robot --key push:any/thing", 1, "no: the key bot does not allow it"},
		{"policy.yaml", "bot overwrite prod/app:v1 --robot --key *:**", 1, "no: rule 5: release tags are final"},
		{"gateway.yaml", "anonymous pull public/tool", 0, "yes: rule 1"},
		{"gateway.yaml", "anonymous push public/tool", 1, "no: "},
		{"gateway.yaml", "alice push team/app", 0, "yes: rule 2"},
		{"gateway.yaml", "alice delete team/app", 1, "no: "},
		{"token-server.yaml", "alice delete any/thing", 0, "yes: rule 1"},
		{"token-server.yaml", "bob pull any/thing", 0, "yes: rule 2"},
		{"token-server.yaml", "bob push any/thing", 1, "no: "},
		{"private.yaml", "alice delete any/thing", 0, "yes: "},
		{"private.yaml", "anonymous pull any/thing", 1, "no: "},
		{"development.yaml", "anonymous delete any/thing", 0, "yes: "},
	} {
		args := append([]string{"can", "--config", filepath.Join("..", "..", "examples", c.file)}, strings.Fields(c.question)...)
		var out, errOut bytes.Buffer
		code := run(args, strings.NewReader(""), &out, &errOut)
		if code != c.code || !strings.HasPrefix(out.String(), c.answer) || errOut.Len() > 0 {
			t.Errorf("%s: %s: exit code %d, %s%s", c.file, c.question, code, out.String(), errOut.String())
		}
	}
}

// TestAQuestionWithoutAnAnswerIsNoNo: scripts tell the two apart by the exit code.
func TestAQuestionWithoutAnAnswerIsNoNo(t *testing.T) {
	t.Parallel()
	file := "--config=" + filepath.Join("..", "..", "examples", "policy.yaml")
	for name, args := range map[string][]string{
		"no file":             {"alice", "pull", "a/b"},
		"a file that is gone": {"alice", "pull", "a/b", "--config=gone.yaml"},
		"a file that is bad":  {"alice", "pull", "a/b", "--config=can.go"},
		"too little":          {"alice", file},
		"too much":            {"alice", "pull", "a/b", "now", file},
		"no such flag":        {"alice", "pull", "a/b", "--who", file},
		"a bad key":           {"alice", "pull", "a/b", "--key=fly:a/b", file},
		"a robot's no key":    {"ci", "pull", "a/b", "--robot", file},
		"a robot in a group":  {"ci", "pull", "a/b", "--robot", "--key=pull:**", "--group=dev", file},
		"a robot of a source": {"ci", "pull", "a/b", "--robot", "--key=pull:**", "--source=htpasswd", file},
		"nobody with a key":   {"anonymous", "pull", "a/b", "--key=pull:**", file},
		"a robot of no name":  {"anonymous", "pull", "a/b", "--robot", "--key=pull:**", file},
		"no such action":      {"alice", "fly", "a/b", file},
		"no repository":       {"alice", "pull", "A/b", file},
		"with the host":       {"alice", "pull", "registry:5000/a/b", file},
		"no tag":              {"alice", "pull", "a/b:-", file},
		"no digest":           {"alice", "pull", "a/b@sha256:1", file},
		"the whole registry":  {"alice", "pull", "_catalog", file},
		"no name":             {"", "pull", "a/b", file},
		"a subject of a rule": {"user:alice", "pull", "a/b", file},
		"a group of a rule":   {"group:platform", "pull", "a/b", file},
		"nobody's group":      {"anonymous", "pull", "a/b", "--group=platform", file},
		"no address":          {"alice", "pull", "a/b", "--client=here", file},
		"no time":             {"alice", "pull", "a/b", "--at=noon", file},
	} {
		var out, errOut bytes.Buffer
		if code := run(append([]string{"can"}, args...), strings.NewReader(""), &out, &errOut); code != 2 || out.Len() > 0 || errOut.Len() == 0 {
			t.Errorf("%s: exit code %d, %s%s", name, code, out.String(), errOut.String())
		}
	}
}

// Machines have names with colons and slashes, as the subjects of their tokens.
func TestCanAsksForMachines(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "moorgate.yaml")
	if err := os.WriteFile(file, []byte(`
login:
  - name: ci
    oidc: {issuer: "https://ci.example.com", audience: registry.example.com, require: "true"}
access:
  rules:
    - {who: "user:repo:acme/*", may: push, repos: "acme/**", when: 'claims.ref == "main" && who.source == "ci"'}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]int{"main": 0, "feature": 1} {
		var out, errOut bytes.Buffer
		args := []string{"can", "repo:acme/app:ref", "push", "acme/app", "--claims", `{"ref":"` + ref + `"}`, "--config", file}
		if code := run(args, strings.NewReader(""), &out, &errOut); code != want || errOut.Len() > 0 {
			t.Errorf("%s: exit code %d, want %d: %s%s", ref, code, want, out.String(), errOut.String())
		}
	}
}
