package main

import (
	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/app"
	"github.com/moorgate/moorgate/internal/config"
)

func newServeCommand() *cobra.Command {
	s := &settings{role: config.Serve}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a complete registry behind the gate",
		Long: `Run a complete OCI registry behind the gate.

Without arguments it listens on 127.0.0.1:5000, keeps its data in
./moorgate-data, and makes a first user "admin", whose random password it shows
once.

What is given here wins over the environment (MOORGATE_LISTEN, MOORGATE_DATA),
that over the configuration file, that over the defaults. Users, certificates and
access rules are read again when their files change, and on SIGHUP.`,
		Example: `  # a protected registry for this machine
  moorgate serve

  # a private registry for a network
  moorgate serve --listen :5043 --tls-cert domain.crt --tls-key domain.key --htpasswd registry.password

  # the same with a certificate of its own
  moorgate serve --listen :5043 --tls-self-signed

  # with rights for each repository
  moorgate serve --config policy.yaml

  # a registry for development: everybody may do everything
  moorgate serve --open`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServer(cmd, s, app.Serve) },
	}
	s.register(cmd.Flags())
	s.registerOpen(cmd.Flags())
	return cmd
}
