package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/control"
)

// dial finds the running server.
func dial(cmd *cobra.Command, s *settings) (*control.Client, error) {
	f, err := s.load(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if err := f.FormError(); err != nil {
		return nil, err
	}
	return control.Dial(f.Config.Data), nil
}

func newTokenListCommand() *cobra.Command {
	var s settings
	var user string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the refresh tokens that clients hold",
		Long: `List the refresh tokens that clients hold instead of a password.

It asks the running server on the data directory.`,
		Example: `  moorgate token list
  moorgate token list --user alice --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			return listTokens(cmd, client, user, asJSON)
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().StringVar(&user, "user", "", "only those of the user `NAME`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func listTokens(cmd *cobra.Command, client *control.Client, user string, asJSON bool) error {
	list, err := client.Tokens(cmd.Context(), user)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, list)
	}
	if len(list) == 0 {
		say(cmd, "no refresh tokens\n")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tUSER\tSOURCE\tSERVICE\tCLIENT\tISSUED\tUSED\tEXPIRES")
	for _, t := range list {
		_, _ = fmt.Fprintln(w, strings.Join([]string{
			t.ID, printable(t.User), printable(t.Source), printable(t.Service), printable(t.Client),
			minute(t.IssuedAt), minute(t.UsedAt), minute(t.Expires),
		}, "\t"))
	}
	return w.Flush()
}

// printable shows what others chose, such as a client its name, so that it
// cannot move the cursor of a terminal.
func printable(s string) string {
	if s == "" {
		return "-"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

// minute shows a time.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02T15:04Z") }

func newTokenRevokeCommand() *cobra.Command {
	var s settings
	var user string
	cmd := &cobra.Command{
		Use:   "revoke {ID... | --user NAME}",
		Short: "End refresh tokens at once",
		Long: `End refresh tokens at once, by their ID ("moorgate token list") or all of a user.

The client has to sign in again. The short tokens that it got before stay good
until they expire, within minutes (token.ttl).
It asks the running server on the data directory.`,
		Example: `  moorgate token revoke 4kq2xw7m3bz5t6ya
  moorgate token revoke --user alice`,
		Args: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (user == "") {
				return fmt.Errorf("which tokens? give their IDs, or --user; usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			if user != "" {
				return revokeUser(cmd, client, user)
			}
			return revokeEach(cmd, client, args)
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().StringVar(&user, "user", "", "all of the user `NAME`")
	return cmd
}

func revokeUser(cmd *cobra.Command, client *control.Client, user string) error {
	n, err := client.RevokeUser(cmd.Context(), user)
	if err != nil {
		return err
	}
	say(cmd, "revoked %s of %s\n", counted(n, "refresh token"), user)
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// revokeEach goes on when one fails: the others are to end too.
func revokeEach(cmd *cobra.Command, client *control.Client, ids []string) error {
	var errs []error
	for _, id := range ids {
		err := client.RevokeToken(cmd.Context(), id)
		switch {
		case errors.Is(err, control.ErrNotRunning), errors.Is(err, context.Canceled):
			return errors.Join(append(errs, err)...)
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", id, err))
		default:
			say(cmd, "revoked %s\n", id)
		}
	}
	return errors.Join(errs...)
}
