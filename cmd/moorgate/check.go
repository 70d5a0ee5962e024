package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/config"
)

func newCheckCommand() *cobra.Command {
	var asJSON, strict bool
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
with --strict also if there are warnings.`,
		Example: `  moorgate check moorgate.yaml
  moorgate check --as proxy --strict gateway.yaml
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
			problems := f.Problems(role)
			if asJSON {
				err = printProblemsJSON(cmd, problems)
			} else {
				printProblems(cmd, args[0], problems)
			}
			if err == nil && (f.Error(role) != nil || strict && len(problems) > 0) {
				return errSilent
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the mistakes as JSON")
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

// printProblemsJSON prints an object with a list, empty if the file is good.
func printProblemsJSON(cmd *cobra.Command, problems []config.Problem) error {
	if problems == nil {
		problems = []config.Problem{}
	}
	return printJSON(cmd, map[string]any{"problems": problems})
}
