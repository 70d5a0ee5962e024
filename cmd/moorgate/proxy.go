package main

import (
	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/app"
	"github.com/moorgate/moorgate/internal/config"
)

func newProxyCommand() *cobra.Command {
	s := &settings{role: config.Proxy}
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Run the gate in front of a registry that is there already",
		Long: `Run the gate in front of a registry that is there already.

It does what the well-known nginx recipe for a private registry does, in one
command: TLS ends here, users sign in with the passwords of an htpasswd file, and
only the API of the registry can be reached. It also knows what nginx cannot:
rights for each repository and tag, tokens, and credentials of its own for the
registry behind it, which the clients never see.

Bodies of any size go through as they come; a slow registry may take 15 minutes
to answer. The registry itself needs no login, but nobody else may reach it:
let it listen on 127.0.0.1, on a private network or on a Unix socket.

What is given here wins over the environment (MOORGATE_LISTEN, MOORGATE_DATA,
MOORGATE_UPSTREAM_PASSWORD), that over the configuration file, that over the
defaults. Users, certificates and access rules are read again when their files
change, and on SIGHUP.`,
		Example: `  # TLS and passwords in front of a registry
  moorgate proxy --upstream http://registry:5000 --listen :5043 --tls-cert domain.crt --tls-key domain.key --htpasswd registry.password

  # try it on this machine
  moorgate proxy --upstream http://127.0.0.1:5001

  # a registry on a Unix socket
  moorgate proxy --upstream unix:/run/registry.sock --htpasswd registry.password

  # several registries, and rights for each repository
  moorgate proxy --config gateway.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServer(cmd, s, app.Proxy) },
	}
	flags := cmd.Flags()
	flags.StringVar(&s.upstream, "upstream", "", "`URL` of the registry: http://host:port, https://host, or unix:/path/of/socket")
	s.register(flags)
	s.registerOpen(flags)
	return cmd
}
