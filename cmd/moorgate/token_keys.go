package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/token"
)

func newTokenKeysCommand() *cobra.Command {
	var s settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "List the keys that tokens are signed with",
		Long: `List the keys that tokens are signed with.

It asks the running server on the data directory.`,
		Example: `  moorgate token keys
  moorgate token keys --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			list, err := client.Keys(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, list)
			}
			return printKeys(cmd, list, time.Now())
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newTokenKeysRevokeCommand())
	return cmd
}

func newTokenKeysRevokeCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Remove a signing key at once, such as one that was stolen",
		Long: `Remove a signing key at once, such as one that was stolen.

Here its tokens are good for nothing from now on; other registries refuse them when
they read the keys again. Registries that know us by the certificate of our authority
(rootcertbundle) cannot learn of it: whoever has the key can sign tokens for them
until that authority is replaced. If it is the key that signs, a new one is made, which
signs at once. Keys that a rotation has replaced remove themselves when their last
token has expired: they need no command. It asks the running server on the data
directory.`,
		Example: `  moorgate token keys
  moorgate token keys revoke ID`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			done, err := client.RevokeKey(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if k := done.Made; k != nil {
				say(cmd, "made signing key %s (%s), which signs from now on\n", k.ID, k.Algorithm)
			}
			for _, k := range done.Removed {
				say(cmd, "removed %s\n", k.ID)
			}
			return nil
		},
	}
	s.registerData(cmd.Flags())
	return cmd
}

func printKeys(cmd *cobra.Command, list []token.KeyInfo, now time.Time) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tALGORITHM\tSINCE\tSIGNS")
	for _, k := range list {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.ID, k.Algorithm, minute(k.Created), signs(k, now))
	}
	return w.Flush()
}

// signs tells whether a key signs.
func signs(k token.KeyInfo, now time.Time) string {
	switch {
	case k.SignsNow:
		return "now"
	case k.SignsFrom.After(now):
		return "from " + minute(k.SignsFrom)
	default:
		return "no more" // its tokens are still good
	}
}

func newTokenRotateCommand() *cobra.Command {
	var s settings
	var now bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new signing key",
		Long: `Make a new signing key, which takes over from the one that signs.

It is published at once and signs after token.rotate_overlap, when everybody who
remembers the published keys has asked again. Tokens signed with the old key stay
good until they expire; then it is removed. It asks the running server on the data
directory.`,
		Example: `  moorgate token rotate
  moorgate token rotate --now`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			done, err := client.Rotate(cmd.Context(), now)
			if err != nil {
				return err
			}
			if k := done.Made; k != nil {
				say(cmd, "made signing key %s (%s); it signs from %s on\n", k.ID, k.Algorithm, minute(k.SignsFrom))
			}
			for _, k := range done.Removed {
				say(cmd, "removed %s, which has not signed for longer than a token lives\n", k.ID)
			}
			return nil
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().BoolVar(&now, "now", false, "sign with it at once: registries that remember our keys refuse its tokens until they ask again")
	return cmd
}

// printJSON prints a value over several lines.
func printJSON(cmd *cobra.Command, value any) error {
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
