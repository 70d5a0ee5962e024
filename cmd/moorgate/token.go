package main

import (
	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/app"
	"github.com/moorgate/moorgate/internal/config"
)

func newTokenCommand() *cobra.Command {
	s := &settings{role: config.Token}
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Run a token server for registries that are there already",
		Long: `Run a token server for registries that are there already.

A registry that is told to trust it sends its clients here (Docker token
protocol). They sign in, and take back a token that says what they may do: what
the access rules of the configuration allow. The registry needs "realm",
"service", "issuer" and the certificate of this server, DATA/token/ca.crt.

The commands below it look at and change what a running server holds:
"moorgate serve", "moorgate proxy" or "moorgate token".`,
		Example: `  # the registries that trust it, and the rules, are in the configuration
  moorgate token --config token-server.yaml

  # see and end what clients hold instead of a password
  moorgate token list
  moorgate token revoke --user alice`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServer(cmd, s, app.Token) },
	}
	s.register(cmd.Flags())
	cmd.AddCommand(newTokenListCommand(), newTokenRevokeCommand(), newTokenKeysCommand(), newTokenRotateCommand())
	return cmd
}
