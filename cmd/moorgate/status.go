package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/control"
)

func newStatusCommand() *cobra.Command {
	var s settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a running server is",
		Long: `Show how a running server is: its version and role, since when it runs, and what it
uses of the machine.

"heap" is what the program itself keeps, "memory" what the machine gives it for all
purposes. Open files include connections. It asks the running server on the data
directory: "moorgate serve", "moorgate proxy" or "moorgate token". The exit code is 1
if none runs.`,
		Example: `  moorgate status
  moorgate status --data /var/lib/moorgate
  moorgate status --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			st, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, st)
			}
			return printStatus(cmd, st)
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with sizes in bytes")
	return cmd
}

func printStatus(cmd *cobra.Command, st control.Status) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"version", printable(st.Version)},
		{"role", printable(st.Role)},
		{"process", fmt.Sprint(st.PID)},
		{"started", st.Started.UTC().Format(time.RFC3339)},
		{"uptime", (time.Duration(st.Uptime) * time.Second).String()},
		{"heap", mebibytes(st.HeapBytes)},
		{"memory", mebibytes(st.RSSBytes) + ", at most " + mebibytes(st.PeakBytes)},
		{"goroutines", fmt.Sprint(st.Goroutines)},
		{"open files", fmt.Sprintf("%d of %d", st.Files, st.FilesLimit)},
		{"collections", fmt.Sprint(st.Collections)},
	} {
		_, _ = fmt.Fprintln(w, line[0]+"\t"+line[1])
	}
	return w.Flush()
}

// mebibytes shows a size.
func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
