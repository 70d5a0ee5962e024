package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// everyCommand calls f for each command of the program.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		everyCommand(sub, f)
	}
}

func TestEveryCommandHelpsWithExamples(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	everyCommand(newRootCommand(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		seen[path] = true
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short text is %q, want a line without a full stop", path, cmd.Short)
		}
		if !strings.Contains(cmd.Example, path) {
			t.Errorf("%s has no example that shows it: %q", path, cmd.Example)
		}
		for line := range strings.Lines(cmd.Example) {
			if !strings.HasPrefix(line, "  ") && strings.TrimSpace(line) != "" {
				t.Errorf("%s: the example line %q is not indented by two", path, line)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: flag --%s has no text", path, f.Name)
			}
		})
	})
	for _, path := range []string{"moorgate", "moorgate serve", "moorgate check", "moorgate version", "moorgate passwd add", "moorgate cert create"} {
		if !seen[path] {
			t.Errorf("there is no command %q", path)
		}
	}
}

// TestExamplesAreRightCommands: each example names a command and flags that
// there are.
func TestExamplesAreRightCommands(t *testing.T) {
	t.Parallel()
	everyCommand(newRootCommand(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			_, command, ok := strings.Cut(line, "moorgate ")
			if !ok || strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			command, _, _ = strings.Cut(command, " <")
			command, _, _ = strings.Cut(command, " &&")
			words := strings.Fields(strings.ReplaceAll(command, "'", ""))
			found, rest, err := newRootCommand().Find(words)
			if err == nil && found.HasParent() {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil || !found.HasParent() {
				t.Errorf("%s: the example %q is wrong: %v", cmd.CommandPath(), strings.TrimSpace(line), err)
			}
		}
	})
}
