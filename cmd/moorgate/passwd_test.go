package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// typed is what a command said.
type typed struct {
	out, errOut string
	err         error
}

// execute runs a command with arguments and standard input.
func execute(t *testing.T, cmd *cobra.Command, in io.Reader, args ...string) typed {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return typed{out.String(), errOut.String(), err}
}

func passwd(t *testing.T, in string, args ...string) typed {
	t.Helper()
	return execute(t, newPasswdCommand(), strings.NewReader(in), args...)
}

// verified reports whether the file takes the password.
func verified(t *testing.T, file, user, password string) bool {
	t.Helper()
	return passwd(t, password+"\n", "verify", file, user).err == nil
}

func TestPasswdFromMakingToRemoving(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "registry.password")
	steps := []struct {
		in   string
		args []string
		out  string
		err  string
	}{
		{"one\n", []string{"add", file, "alice", "--cost", "4"}, "made " + file + " with user alice\n", ""},
		{"two", []string{"add", "--cost=4", file, "bob"}, "added bob to " + file + "\n", ""},
		{"one\n", []string{"verify", file, "alice"}, "the password of alice is right\n", ""},
		{"two", []string{"verify", file, "alice"}, "", "wrong password for alice"},
		{"two\r\n", []string{"verify", file, "bob"}, "the password of bob is right\n", ""},
		{"two\n", []string{"verify", file, "carol"}, "", "carol is not in " + file},
		{"new one\nsecond line\n", []string{"add", file, "alice", "--cost", "5"}, "set a new password for alice in " + file + "\n", ""},
		{"one\n", []string{"verify", file, "alice"}, "", "wrong password for alice"},
		{"new one\n", []string{"verify", file, "alice"}, "the password of alice is right\n", ""},
		{"", []string{"list", file}, "alice  bcrypt, cost 5\nbob    bcrypt, cost 4\n", ""},
		{"", []string{"remove", file, "alice"}, "removed alice from " + file + "\n", ""},
		{"", []string{"remove", file, "alice"}, "", "alice is not in " + file},
		{"", []string{"list", file}, "bob  bcrypt, cost 4\n", ""},
	}
	for i, s := range steps {
		got := passwd(t, s.in, s.args...)
		if got.out != s.out || got.errOut != "" {
			t.Errorf("step %d, %v: said %q and %q; want %q", i, s.args, got.out, got.errOut, s.out)
		}
		if (got.err == nil) != (s.err == "") || got.err != nil && got.err.Error() != s.err {
			t.Errorf("step %d, %v: error %v; want %q", i, s.args, got.err, s.err)
		}
	}
}

func TestPasswdRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	tests := map[string]struct {
		in   string
		args []string
		want string
	}{
		"a password as an argument": {"x\n", []string{"add", file, "alice", "SECRET"}, "a password is never taken from the command line"},
		"verify with an argument":   {"x\n", []string{"verify", file, "alice", "SECRET"}, "a password is never taken from the command line"},
		"no user":                   {"x\n", []string{"add", file}, "which file and user?"},
		"no arguments":              {"x\n", []string{"add"}, "which file and user?"},
		"a colon":                   {"x\n", []string{"add", file, "alice:SECRET"}, "has a colon"},
		"nothing on standard input": {"", []string{"add", file, "alice"}, "no password on standard input"},
		"an empty line":             {"\nSECRET\n", []string{"add", file, "alice"}, "no password on standard input"},
		"73 bytes":                  {strings.Repeat("x", 73), []string{"add", file, "alice"}, "the password has 73 bytes; bcrypt takes at most 72"},
		"like a key":                {"mgk_SECRET\n", []string{"add", file, "alice"}, "a password cannot begin with mgk_"},
		"like a key in capitals":    {"MGK_SECRET\n", []string{"add", file, "alice"}, "a password cannot begin with mgk_"},
		"an endless line":           {strings.Repeat("x", 1<<20), []string{"add", file, "alice"}, "longer than 4096 bytes"},
		"cost 3":                    {"x\n", []string{"add", file, "alice", "--cost", "3"}, "must be from 4 to 15"},
		"cost 16":                   {"x\n", []string{"add", file, "alice", "--cost", "16"}, "must be from 4 to 15"},
		"a flag for the password":   {"x\n", []string{"add", file, "alice", "--password", "SECRET"}, "unknown flag: --password"},
		"verify without a file":     {"x\n", []string{"verify", file, "alice"}, "does not exist"},
		"remove without a file":     {"", []string{"remove", file, "alice"}, "no such file"},
		"list without a file":       {"", []string{"list", file}, "does not exist"},
		"no such directory":         {"x\n", []string{"add", filepath.Join(dir, "no", "f"), "alice", "--cost", "4"}, "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := passwd(t, tt.in, tt.args...)
			if got.err == nil || !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("error %v; want %q", got.err, tt.want)
			}
			if got.err != nil && strings.Contains(got.err.Error(), "SECRET") && !strings.Contains(name, "colon") {
				t.Errorf("the error tells the password: %v", got.err)
			}
			if _, err := os.Lstat(file); err == nil {
				t.Error("a file was made")
			}
		})
	}
}

func TestPasswdListAsJSON(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	content := "# us\nalice:{SHA}2oguq15ANCGsJCWKX31fllwpyEk=\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := passwd(t, "x\n", "add", "--cost", "4", file, "bob"); got.err != nil {
		t.Fatal(got.err)
	}
	var list []map[string]any
	got := passwd(t, "", "list", "--json", file)
	if err := json.Unmarshal([]byte(got.out), &list); err != nil {
		t.Fatalf("%v\n%s", err, got.out)
	}
	want := []map[string]any{
		{"user": "alice", "hash": "sha1", "line": 2.0},
		{"user": "bob", "hash": "bcrypt", "cost": 4.0, "line": 3.0},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := passwd(t, "", "list", "--json", file); strings.TrimSpace(got.out) != "[]" {
		t.Errorf("an empty file is %q", got.out)
	}
}

func TestPasswdWarnsOfOtherBadLines(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("old:hvXxKSoApgWlA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := passwd(t, "x\n", "add", "--cost", "4", file, "bob")
	if got.err != nil || !strings.Contains(got.errOut, `warning: a registry will refuse `+file+`: line 1: user "old"`) {
		t.Errorf("said %q, error %v", got.errOut, got.err)
	}
	got = passwd(t, "x\n", "add", "--cost", "4", file, "old")
	if got.err != nil || got.errOut != "" || !verified(t, file, "old", "x") {
		t.Errorf("said %q, error %v", got.errOut, got.err)
	}
}

func TestPasswdAddIsGoodForApache(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	if got := passwd(t, "pass wörd\n", "add", file, "alice"); got.err != nil {
		t.Fatal(got.err)
	}
	apache, err := exec.LookPath("htpasswd")
	if err != nil {
		t.Fatalf("this test needs Apache's htpasswd; install apache2-utils: %v", err)
	}
	for password, right := range map[string]bool{"pass wörd": true, "wrong": false} {
		out, err := exec.CommandContext(t.Context(), apache, "-vb", file, "alice", password).CombinedOutput()
		if (err == nil) != right {
			t.Errorf("%q: %v: %s", password, err, out)
		}
	}
}

func TestPasswdAsksAtATerminal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		typed string
		want  string // error
	}{
		"twice the same":  {"geheim ü\ngeheim ü\n", ""},
		"two passwords":   {"one\ntwo\n", "the two passwords differ; nothing was changed"},
		"nothing":         {"\n\n", "the password is empty"},
		"Ctrl-D, then it": {"\x04geheim ü\ngeheim ü\n", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keyboard, terminal := newTerminal(t)
			file := filepath.Join(t.TempDir(), "f")
			lines := strings.SplitAfter(tt.typed, "\n")
			// Each line is typed when it is asked for, as people do.
			prompts := writerFunc(func(p []byte) (int, error) {
				if strings.HasSuffix(string(p), ": ") && len(lines) > 0 {
					next := lines[0]
					lines = lines[1:]
					go keyboard.typeHidden(t, terminal, next)
				}
				return len(p), nil
			})
			cmd := newPasswdCommand()
			cmd.SetArgs([]string{"add", "--cost", "4", file, "alice"})
			cmd.SetIn(terminal)
			cmd.SetOut(io.Discard)
			cmd.SetErr(prompts)
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			err := cmd.ExecuteContext(t.Context())
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v; want %q", err, tt.want)
			}
			if !echoes(t, terminal) {
				t.Error("the terminal does not show what is typed any more")
			}
			if err == nil && !verified(t, file, "alice", "geheim ü") {
				t.Error("another password was set")
			}
		})
	}
}

func TestPasswdPromptCanBeInterrupted(t *testing.T) {
	t.Parallel()
	_, terminal := newTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	prompts := writerFunc(func(p []byte) (int, error) {
		if strings.HasSuffix(string(p), ": ") {
			go func() {
				awaitHidden(t, terminal)
				cancel()
			}()
		}
		return len(p), nil
	})
	cmd := newPasswdCommand()
	cmd.SetArgs([]string{"add", filepath.Join(t.TempDir(), "f"), "alice"})
	cmd.SetIn(terminal)
	cmd.SetErr(prompts)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v", err)
	}
	if !echoes(t, terminal) {
		t.Error("the terminal does not show what is typed any more")
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
