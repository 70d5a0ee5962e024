package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/config"
)

func newCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration file",
		Long: `Check a configuration file and show all its mistakes at once, with line numbers.

The exit code is 0 if the file is good, and 1 if it is not.`,
		Example: `  moorgate check moorgate.yaml
  moorgate check --json moorgate.yaml`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			problems, err := config.Check(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = printProblemsJSON(cmd, problems)
			} else {
				printProblems(cmd, args[0], problems)
			}
			if err == nil && len(problems) > 0 {
				return errSilent
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the mistakes as JSON")
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
	if len(problems) == 0 {
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
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"problems": problems})
}
