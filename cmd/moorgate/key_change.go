package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moorgate/moorgate/internal/authn/keys"
)

// keyRef are the flags that tell whose key is meant.
type keyRef struct{ user, source string }

func (k *keyRef) register(flags *pflag.FlagSet) {
	flags.StringVar(&k.user, "user", "", "the key of the user `NAME`; without it names are those of robots")
	flags.StringVar(&k.source, "source", "", "`SOURCE` of that user, where several have one of the name")
}

func (k *keyRef) of(key string) keys.Ref {
	return keys.Ref{Key: key, User: k.user, Source: k.source}
}

func newKeyRotateCommand() *cobra.Command {
	var s settings
	var ref keyRef
	var overlap, expires string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate {NAME | ID}",
		Short: "Replace the secret of a key, with time to bring the new one along",
		Long: `Replace the secret of a key, with time to bring the new one along.

The new key is printed to standard output, this once. The old one stays good for
--overlap, but not longer than it would have been; one from a rotation before that ends
now. The key lives again for as long as it was made for, or for --expires. Tokens that
were made from the old secret stay good until they expire, within minutes; only
"moorgate key revoke" ends them too. It asks the running server on the data directory.`,
		Example: `  moorgate key rotate ci-app
  moorgate key rotate ci-app --overlap 2d --expires 90d
  moorgate key rotate laptop --user alice --overlap 0s`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keep, err := readDuration(overlap)
			if err != nil {
				return fmt.Errorf("--overlap: %w", err)
			}
			var life *time.Duration
			if cmd.Flags().Changed("expires") {
				d, err := readLife(expires)
				if err != nil {
					return fmt.Errorf("--expires: %w", err)
				}
				life = &d
			}
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			made, err := client.RotateAccessKey(cmd.Context(), ref.of(args[0]), keep, life)
			if err != nil {
				return err
			}
			return printKey(cmd, made, asJSON, "rotated")
		},
	}
	s.registerData(cmd.Flags())
	ref.register(cmd.Flags())
	cmd.Flags().StringVar(&overlap, "overlap", "24h", "`TIME` for which the old one stays good; 0s ends it now")
	cmd.Flags().StringVar(&expires, "expires", "", "`TIME` after which it ends, such as 90d, or never (default as long as it was made for)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the key in it")
	return cmd
}

func newKeyRevokeCommand() *cobra.Command {
	var s settings
	var ref keyRef
	cmd := &cobra.Command{
		Use:   "revoke {NAME | ID}",
		Short: "End a key at once, such as one that was stolen",
		Long: `End a key at once, such as one that was stolen.

The next request with it is refused, and so is one with a token that was made from it.
Registries of others that trust our tokens take such a token until it expires, within
minutes (token.ttl). It asks the running server on the data directory.`,
		Example: `  moorgate key revoke ci-app
  moorgate key revoke laptop --user alice
  moorgate key revoke 4kq2xw7m3bz5t6ya`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			e, err := client.RevokeAccessKey(cmd.Context(), ref.of(args[0]))
			if err != nil {
				return err
			}
			say(cmd, "revoked key %s, %s\n", e.ID, whose(e))
			return nil
		},
	}
	s.registerData(cmd.Flags())
	ref.register(cmd.Flags())
	return cmd
}
