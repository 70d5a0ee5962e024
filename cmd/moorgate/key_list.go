package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/control"
)

func newKeyListCommand() *cobra.Command {
	var s settings
	var user string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, and when they were used last",
		Long: `List keys, and when they were used last. Keys that have expired are listed for
another month.

It asks the running server on the data directory.`,
		Example: `  moorgate key list
  moorgate key list --user alice --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			return listKeys(cmd, client, user, asJSON)
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().StringVar(&user, "user", "", "only those of the user `NAME`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func listKeys(cmd *cobra.Command, client *control.Client, user string, asJSON bool) error {
	list, err := client.AccessKeys(cmd.Context(), user)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, list)
	}
	if len(list) == 0 {
		say(cmd, "no keys\n")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tNAME\tUSER\tMAY\tCREATED\tUSED\tEXPIRES")
	for _, e := range list {
		_, _ = fmt.Fprintln(w, strings.Join([]string{
			e.ID, printable(e.Name), owner(e), rights(e), minute(e.Created), orNever(e.Used), lasts(e),
		}, "\t"))
	}
	return w.Flush()
}

func owner(e keys.Entry) string {
	if e.Robot {
		return "(robot)"
	}
	return printable(e.User) + " (" + printable(e.Source) + ")"
}

func rights(e keys.Entry) string {
	if len(e.May) == 0 {
		return "(as the user)"
	}
	return printable(strings.Join(e.May, " "))
}

func orNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return minute(t)
}

// lasts tells until when a key is good, and its secret before that.
func lasts(e keys.Entry) string {
	text := orNever(e.Expires)
	if e.Expired {
		text = "expired " + text
	}
	if !e.OldUntil.IsZero() {
		text += ", the old one " + minute(e.OldUntil)
	}
	return text
}
