package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/app"
	"github.com/moorgate/moorgate/internal/config"
)

func newCheckCommand() *cobra.Command {
	var asJSON, strict, probe bool
	var as string
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration file",
		Long: `Check a configuration file and show all its mistakes at once, with line numbers.

What a file needs depends on the command that it is for: with upstreams it is
taken for one of "moorgate proxy", with token.services for one of "moorgate
token", else for one of "moorgate serve". --as says it.

A warning is about something that works, but cannot be meant so, such as a rule
that never decides. The exit code is 0 if the file is good, and 1 if it is not;
with --strict also if there are warnings.

--probe tries the identity sources of a good file too, each with a line: whether
its servers can be reached, and whether they let us in; the token servers of
others that it trusts; and the outputs of the audit, to which it writes nothing.
What cannot be tried now, such as the keys of a server that does not run, is said
and is no mistake. Run it where the server will run, and as its user.`,
		Example: `  moorgate check moorgate.yaml
  moorgate check --as proxy --strict gateway.yaml
  moorgate check --probe moorgate.yaml
  moorgate check --json moorgate.yaml`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			role := config.Role(as)
			if as != "" && !slices.Contains(config.Roles(), role) {
				return fmt.Errorf("--as: %q is no role; choose one of serve, proxy, token", as)
			}
			f, err := config.Load(args[0])
			if err != nil {
				return err
			}
			problems, bad := f.Problems(role), f.Error(role) != nil
			var logins, outputs []app.Finding
			if probe && !bad {
				logins, outputs = app.Probe(cmd.Context(), f.Config), app.ProbeAudit(f.Config)
			}
			if asJSON {
				err = printCheckJSON(cmd, problems, logins, outputs)
			} else {
				printProblems(cmd, args[0], problems)
				printFindings(cmd, "login", logins)
				printFindings(cmd, "audit", outputs)
			}
			failed := slices.ContainsFunc(slices.Concat(logins, outputs), func(f app.Finding) bool { return f.Error != "" })
			if err == nil && (bad || failed || strict && len(problems) > 0) {
				return errSilent
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the mistakes as JSON")
	cmd.Flags().BoolVar(&probe, "probe", false, "try the identity sources and the audit too")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	cmd.Flags().StringVar(&as, "as", "", "the `ROLE` that the file is for: serve, proxy or token (default: as its content tells)")
	return cmd
}

// oneFile checks the argument FILE.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("which file? usage: %s", cmd.UseLine())
	}
	return nil
}

func printProblems(cmd *cobra.Command, file string, problems []config.Problem) {
	if config.Problems(file, problems) == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", file)
	}
	for _, p := range problems {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", file, p)
	}
}

// printFindings prints a line for each part that was tried.
func printFindings(cmd *cobra.Command, part string, findings []app.Finding) {
	for _, f := range findings {
		outcome, text := "ok", f.Found
		switch {
		case f.Error != "":
			outcome, text = "failed", printable(strings.ReplaceAll(f.Error, "\n", "; "))
		case f.NotTried != "":
			outcome, text = "not tried", printable(f.NotTried)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s: %s\n", part, f.Source, outcome, text)
	}
}

// printCheckJSON prints an object with a list of mistakes, empty if the file is
// good, and those of the sources and outputs that were tried, if they were.
func printCheckJSON(cmd *cobra.Command, problems []config.Problem, logins, outputs []app.Finding) error {
	if problems == nil {
		problems = []config.Problem{}
	}
	result := map[string]any{"problems": problems}
	if logins != nil {
		result["login"], result["audit"] = logins, outputs
	}
	return printJSON(cmd, result)
}
